#!/bin/sh
# gcc, but the object of a kernel is kept in $KEPT_OBJECTS and copied for all that compile the same again. Its name is the sum of the
# compiler's version, the flags and the preprocessed source; folders of headers are no part of it, as their content is.
out='' key='' source='' last=''
for word; do
    case $last in -o) out=$word last='' && continue ;; esac
    last=$word
    case $word in -o | -I*) ;; *.c) source=$word ;; *) key="$key $word" ;; esac
done
case "${source##*/}$key " in mico*" -c "*) ;; *) exec gcc "$@" ;; esac
gcc "$@" -E -P || exit # to the object's place
sum=$({ gcc --version; echo "${source##*/}$key"; cat "$out"; } | sha256sum)
kept=$KEPT_OBJECTS/${sum%% *}.o
exec 9>"$kept.lock"
flock 9 # another process may be making it
if [ ! -f "$kept" ]; then
    gcc "$@" || exit
    cp "$out" "$kept.new" && mv "$kept.new" "$kept"
else
    cp "$kept" "$out"
fi
