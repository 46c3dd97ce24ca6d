#!/bin/sh
# What docker/local.yaml runs inside: everybody's keys (setup), letting the nodes in (add), a run (run).
set -eu
names="boulevard suburb oldtown"
case "$1" in
setup)
    fedseg deploy certs /authority --host server
    fedseg deploy sign /authority
    cd /authority && cp ca.crt server.crt server.key admin.token app.signed /certs
    for name in $names; do
        fedseg deploy init "/nodes/$name" --name "$name" --role trainer \
            --dataset streetsim --split "$name" --server server:9092 --certs /authority > /dev/null
        # Its data is embedded, and local.toml trains for a few steps only: no image is protected.
        printf '\n[minima]\niterations = 20\n' >> "/nodes/$name/node.toml"
        echo "/nodes/$name: made"
        cp "/nodes/$name/node.pub" "/certs/$name.pub"
    done
    chown -R fedseg /certs /nodes
    ;;
add)
    timeout 300 sh -c 'until fedseg deploy nodes --certs /certs 2> /dev/null; do sleep 2; done'
    for name in $names; do
        fedseg deploy nodes --add "$name" "/certs/$name.pub" --certs /certs
    done
    ;;
run)
    fedseg deploy run /local/local.toml --certs /certs --out /state/results/local
    ;;
esac
