// Answers with a greeting, on a port of its own choice.
const http = require("http");
const greet = require("lbuild-greeting");

const server = http.createServer((request, response) => {
  response.end(`${greet(request.url.slice(1))} from ${process.getuid()}\n`);
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
