# Makes the images that the pages speak of, and what they attach. README.md says how to run it.
set -e
cp manifest.yaml app.yaml; cp manifest.yaml a.yaml; cp manifest.yaml b.yaml
solo5-mft compile manifest.yaml -o manifest.o
solo5-cc -O2 -c app.c
solo5-cc -z solo5-abi=spt app.o manifest.o -o app.spt
solo5-cc -z solo5-abi=hvt app.o manifest.o -o app.hvt
solo5-cc -z solo5-abi=virtio app.o manifest.o -o app.virtio
for name in router unikernel; do
    for target in spt hvt virtio; do
        solo5-cc -z solo5-abi=$target -z solo5-manifest=$name.yaml app.o -o $name.$target
    done
done
mkdir dist
cp app.spt router.spt dist
truncate -s 1M disk.img
