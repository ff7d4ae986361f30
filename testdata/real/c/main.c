#include <stdio.h>
#include <unistd.h>

void greet(const char *name);

int main(int count, char **arguments) {
    greet(arguments[count - 1]);
    printf(" from %d\n", getuid());
    return count - 2;
}
