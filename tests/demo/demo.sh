#!/bin/bash
# The main job, shown on real processes: import a chain, sync it to a second node over P2P, pay between two
# wallets, show how each process is confined and what it is refused. CHAIN=file imports that file (as
# -loadblock reads it); otherwise the first node mines a chain.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=${BULKHEAD_BIN:?set by the Makefile}
WORK=$(mktemp -d /tmp/bulkhead-demo.XXXXXX)
P2P1=$((20000 + RANDOM % 5000)); RPC1=$((P2P1 + 1)); P2P2=$((P2P1 + 2)); RPC2=$((P2P1 + 3))
PIDS=()

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
step() { printf '   %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
cleanup() {
  for pid in "${PIDS[@]:-}"; do [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$WORK"
}
trap cleanup EXIT

cli() { local node=$1; shift; "$BIN/bitcoin-cli" -regtest -datadir="$WORK/node$node" -rpcport="$([ "$node" = 1 ] && echo $RPC1 || echo $RPC2)" "$@"; }
start() { # node, further options
  local node=$1 p2p rpc; shift
  [ "$node" = 1 ] && { p2p=$P2P1; rpc=$RPC1; } || { p2p=$P2P2; rpc=$RPC2; }
  mkdir -p "$WORK/node$node"
  "$BIN/bitcoin-node" -regtest -datadir="$WORK/node$node" -port="$p2p" -bind=127.0.0.1:"$p2p" -rpcport="$rpc" -printtoconsole=0 \
    -fallbackfee=0.0002 -listenonion=0 -dnsseed=0 -fixedseeds=0 -discover=0 "$@" &
  PIDS[node]=$!
  cli "$node" -rpcwait -rpcwaittimeout=120 getblockcount >/dev/null || die "node $node does not answer"
}
wait_for() { # text, command that prints, expected
  local text=$1 command=$2 expected=$3 got=
  for _ in $(seq 1 1200); do
    got=$(eval "$command" 2>/dev/null || true)
    [ "$got" = "$expected" ] && return 0
    printf '\r   %s: %s of %s   ' "$text" "$got" "$expected"
    sleep 0.1
  done
  die "$text: got $got, expected $expected"
}

say "Two nodes on regtest"
if [ -n "${CHAIN:-}" ]; then
  step "importing $CHAIN"
  start 1 -loadblock="$CHAIN"
else
  start 1
fi
start 2
step "node 1: pid ${PIDS[1]}, port $P2P1; node 2: pid ${PIDS[2]}, port $P2P2"

say "Wallets, each with a key store of its own"
cli 1 createwallet alice >/dev/null
cli 2 createwallet bob >/dev/null
ALICE=$(cli 1 -rpcwallet=alice getnewaddress)
BOB=$(cli 2 -rpcwallet=bob getnewaddress)
step "alice on node 1: $ALICE"
step "bob on node 2:   $BOB"
if [ -z "${CHAIN:-}" ]; then
  step "mining a chain of 120 blocks to alice"
  cli 1 generatetoaddress 120 "$ALICE" >/dev/null
else
  step "mining 101 blocks to alice on the imported chain"
  cli 1 generatetoaddress 101 "$ALICE" >/dev/null
fi
HEIGHT=$(cli 1 getblockcount)
step "node 1 is at height $HEIGHT, best block $(cli 1 getbestblockhash)"

say "Sync over P2P"
cli 2 addnode "127.0.0.1:$P2P1" onetry
wait_for "height of node 2" "cli 2 getblockcount" "$HEIGHT"
[ "$(cli 1 getbestblockhash)" = "$(cli 2 getbestblockhash)" ] || die "the nodes have different tips"
printf '\r'; step "node 2 reached height $HEIGHT with the same best block"

say "A payment from alice to bob"
step "alice has $(cli 1 -rpcwallet=alice getbalance) BTC"
TXID=$(cli 1 -rpcwallet=alice sendtoaddress "$BOB" 1.25)
step "alice sends 1.25 BTC: $TXID"
wait_for "transactions in the mempool of node 2" "cli 2 getrawmempool | grep -c $TXID" 1
cli 1 generatetoaddress 1 "$ALICE" >/dev/null
wait_for "height of node 2" "cli 2 getblockcount" "$((HEIGHT + 1))"
wait_for "balance of bob" "cli 2 -rpcwallet=bob getbalance" "1.25000000"
printf '\r'; step "confirmed: bob has $(cli 2 -rpcwallet=bob getbalance) BTC                       "

say "Processes of node 1 and how each is confined"
cli 1 getsandboxinfo | "$BIN/bulkhead-probe" --table
say "Forbidden actions, tried inside the live processes"
"$BIN/bulkhead-probe" "${PIDS[1]}" || die "an action that must be refused was not"

say "Stop"
for node in 1 2; do
  cli "$node" stop >/dev/null
  wait "${PIDS[node]}" || die "node $node ended with code $?"
  PIDS[node]=
  step "node $node ended with code 0"
done
say "Done"
