#!/bin/sh
# A compiler whose objects of kernels are kept and copied for all that compile the same again: $REAL, objects in $KEPT (tests/conftest.py).
# An object's name is the sum of the compiler's version, the preprocessed source, and those options that change code: not where headers and
# the object lie, definitions, warnings. So it is compiled with every warning, and kept only if none is said. What gcc writes beside an object
# (call graphs, frames) is kept, too; ccache would lose it.
out='' options='' source='' last='' several='' aside='' beside='' compiles='' level=''
for word; do
    case $last in
    -o) out=$word last='' && continue ;;
    -MF | -MT) last='' && continue ;; # CMake's list of headers, which is written when they are read
    esac
    last=$word
    case $word in
    -o | -I* | -D* | -W* | -MD | -MF | -MT | -pedantic) ;;
    -fstack-usage) beside="$beside su" ;;
    -fcallgraph-info*) beside="$beside ci" ;;
    *.c) several=$source source=$word ;;
    *.cc | *.cpp | -M* | -x* | @* | -l*) aside=1 ;;
    -c) compiles=1 ;;
    -O*) level=$word ;; # the last one counts
    *) options="$options $word" ;;
    esac
done
case "$compiles$several$aside|$source|$out" in
"1|mico"*.c"|"*.o* | "1|"*/mico*.c"|"*.o*) ;;
*) exec "$REAL" "$@" ;; # a network, which is not met again; or it links, preprocesses, says its version
esac
options=$level$(printf '%s\n' $options | sort | tr '\n' ' ')
"$REAL" "$@" -E -P || exit # to the object's place
sum=$({ "$REAL" --version; echo "${source##*/}$options"; cat "$out"; } | sha256sum)
kept=$KEPT/${sum%% *}
exec 9>"$kept.lock"
flock 9 # another process may be making it
if [ ! -d "$kept" ]; then
    case $REAL in *clang) more='' ;; *) more='-fstack-usage -fcallgraph-info=su' ;; esac
    "$REAL" "$@" -pedantic -Wall -Wextra -Wconversion $more 2>"$kept.said" && [ ! -s "$kept.said" ] || exec "$REAL" "$@"
    mkdir -p "$kept.new"
    mv "$out" "$kept.new/o"
    for kind in ${more:+ci su}; do mv "${out%.o*}.$kind" "$kept.new/$kind"; done
    mv "$kept.new" "$kept"
fi
cp "$kept/o" "$out"
for kind in $beside; do cp "$kept/$kind" "${out%.o*}.$kind"; done
