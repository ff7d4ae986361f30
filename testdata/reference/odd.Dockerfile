# An image with everything that a layer can hold and tools may see differently.
FROM debian AS other
RUN mkdir -p /o/in && echo o >/o/a && ln /o/a /o/in/b && chown 7:8 /o/a /o/in && touch -d @5.5 /o/in && setcap cap_chown=ep /o/a

FROM debian
# Several names of one file, also across directories and of a file of a lower layer that keeps all its names.
RUN <<END
set -eu
mkdir -p /t/names/deep
echo one >/t/names/a
ln /t/names/a /t/names/b
ln /t/names/a /t/names/deep/a
ln -s a /t/names/soft
ln /t/names/soft /t/names/soft2
ln -s ../nowhere /t/names/dangling
ln -s "$(printf '%0900d' 7)" /t/names/long-target
mkfifo -m 0620 /t/names/fifo
ln /t/names/fifo /t/names/fifo2
END
# Modes, owners and times.
RUN <<END
set -eu
mkdir -p /t/modes/sticky /t/modes/closed/inside /t/modes/group
for mode in 0000 0001 0400 0644 0755 1644 2755 4755 6711 7777; do
    echo $mode >/t/modes/$mode
    chmod $mode /t/modes/$mode
done
chmod 1777 /t/modes/sticky
chmod 2775 /t/modes/group
chown 0:50 /t/modes/group
echo x >/t/modes/closed/inside/f
chmod 0000 /t/modes/closed
mkdir /t/owners
echo x >/t/owners/f
chown 65534:12345 /t/owners/f
ln -s f /t/owners/l
chown -h 33:44 /t/owners/l
mkdir /t/times /t/times/d
for time in 0 1.5 1234567890.123456789 1700000000.000000001 1700000000.9 4000000000.25; do
    echo x >/t/times/$time
    touch -d @$time /t/times/$time
done
ln -s x /t/times/l
touch -h -d @86400.000000010 /t/times/l
touch -d @99.000001 /t/times/d
touch -d @100.1 /t/times
END
# Names, contents and attributes.
RUN <<END
set -eu
mkdir /t/odd
cd /t/odd
perl -e '
    my @names = ("\xff\xfe", "new\nline", " space ", "-dash", "=equals", "back\\slash", "tab\t", "\"quotes'\''",
        "\xe4\xbd\xa0\xe5\xa5\xbd", "n" x 255, "*?[a]", "#hash", "trailing.", "%25", "0=a");
    for my $name (@names) {
        open my $file, ">", $name or die "$name: $!";
        print $file $name;
    }
    symlink "\xff\xfe", "link \xff" or die $!;
    mkdir "dir \xff" or die $!;
    open my $file, ">", "dir \xff/in" or die $!;
    link "\xff\xfe", "dir \xff/hard" or die $!;
'
deep=$(printf '%0120d' 1)
mkdir -p $deep/$deep/$deep
echo deep >$deep/$deep/$deep/file
ln $deep/$deep/$deep/file $deep/hard
ln -s $deep/$deep/$deep/file soft
: >empty
truncate -s 3M sparse
printf x | dd of=sparse bs=1 seek=1500000 conv=notrunc status=none
truncate -s 64M huge-hole
printf 'end' >>huge-hole
mkdir empty-directory
cp /bin/true capable
setcap cap_net_raw,cap_net_bind_service=ep capable
perl -e '
    my $call = (`uname -m` =~ /aarch64/) ? 5 : 188;
    sub set { my ($path, $name, $value) = @_; syscall($call, $path, $name, $value, length $value, 0) == 0 or die "$name: $!" }
    set("empty", "user.text", "value");
    set("empty", "user.binary", "\0\n=\xff" x 20);
    set("empty", "user.none", "");
    set("empty", "user.with space", "x");
    set("empty", "user.large", "v" x 2000);
    set("empty-directory", "user.directory", "d");
    set("sparse", "user.k", "v");
    set("capable", "user.beside", "capability");
'
END
# What lies below is taken away, replaced and hidden.
RUN <<END
set -eu
mkdir -p /w/gone/deep /w/again/deep/er /w/kinds/dir/in /w/moved/in /w/same
echo 1 >/w/gone/deep/f
echo 1 >/w/again/old
echo 1 >/w/again/stays
echo 1 >/w/again/deep/old
echo 1 >/w/again/deep/er/old
echo 1 >/w/kinds/file
echo 1 >/w/kinds/dir/in/f
ln -s file /w/kinds/link
echo 1 >/w/moved/in/f
echo 1 >/w/lonely
echo 1 >/w/rename-me
echo 1 >/w/same/f
echo 1 >/w/opened
echo a >/w/pair-1
ln /w/pair-1 /w/pair-2
echo a >/w/left-1
ln /w/left-1 /w/left-2
END
RUN <<END
set -eu
rm -r /w/gone /w/lonely
rm -r /w/again
mkdir -p /w/again/deep /w/again/new
echo 2 >/w/again/stays
echo 2 >/w/again/deep/new
rm /w/kinds/file && mkdir /w/kinds/file && echo 2 >/w/kinds/file/f
rm -r /w/kinds/dir && echo 2 >/w/kinds/dir
rm /w/kinds/link && mkfifo /w/kinds/link
mv /w/moved /w/moved-to
mv /w/rename-me /w/renamed
cp -p /w/same/f /w/same/g && mv /w/same/g /w/same/f
exec 3>>/w/opened && exec 3>&-
rm /w/pair-1 /w/pair-2 && echo b >/w/pair-1 && ln /w/pair-1 /w/pair-3
rm /w/left-1
rm -r /usr/share/doc && mkdir /usr/share/doc && echo new >/usr/share/doc/new
rm -rf /usr/share/man
chmod 0700 /home
touch -d @1.75 /media
ln -s /usr/share/doc /w/to-doc
END
RUN rm -r /w/again/deep && ln -s new /w/again/deep && rm /w/moved-to/in/f && rm -r /t/odd/empty-directory
# What COPY and ADD write.
COPY --chown=5:6 data /data
COPY --chmod=4711 data/a /data/set
COPY data/d /w/to-doc/
ADD archive.tar.gz /archive
WORKDIR /made/by/workdir
COPY --link data/a linked/
COPY --from=other /o /o
RUN rm /data/a && mv /data/b /data/c && rm -r /data/d && mkdir /data/d
ENTRYPOINT ["/bin/echo", "hello"]
