#!/bin/sh
# Downloads what models.lst names from Open Model Zoo, and converts it for sticks (FP16) into a folder.
# A model that is there already is left as it is, since a worker may have it open:
# `models.sh [LIST [FOLDER]]`.
set -eu

list=${1:-/etc/ncs/models.lst}
models=${2:-/models}
labels=${NCS_LABELS_SOURCE:-/usr/share/ncs/imagenet_2012.txt}
# A copy of the list, written when everything in it is there.
done="$models/models.lst"
# What is being made; in the same volume, so that a model appears at once and whole.
making="$models/.making"

fail() {
    echo "models: $*" >&2
    exit 1
}

[ -r "$list" ] || fail "cannot read $list"
[ -w "$models" ] || fail "cannot write to $models as user $(id -u)"

if cmp -s "$list" "$done"; then
    echo "models: what models.lst names is there already"
    exit 0
fi

command -v omz_downloader >/dev/null ||
    fail "there are no tools of OpenVINO 2022.3 for $(uname -m): convert on an x86-64 host and copy its files here, models.lst among them (docs/hosts.md)"
rm -rf "$done" "$making"
omz_downloader --list "$list" --output_dir "$models" ||
    fail "the download failed; check this host's way to the internet (proxies too), and start again: what has arrived is kept"
omz_converter --list "$list" --download_dir "$models" --output_dir "$making" --precisions FP16 ||
    fail "the conversion failed; what is above says why"
for made in "$making"/*/*/FP16; do
    [ -d "$made" ] || continue
    model="$models${made#"$making"}"
    if [ ! -e "$model" ]; then
        mkdir -p "$(dirname "$model")"
        mv "$made" "$model"
    fi
done
rm -rf "$making"
# The converter passes over what it cannot convert, and is content. (A pattern names no single model.)
grep -v '[#*?[]' "$list" | while read -r model; do
    [ -z "$model" ] || [ -n "$(find "$models" -path "*/$model/FP16/$model.xml")" ] ||
        fail "$model has not become $model.xml in FP16; what is above says why"
done
cp "$labels" "$models/"
cp "$list" "$done.part"
mv "$done.part" "$done"
echo "models: done"
