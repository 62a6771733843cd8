# Edge: rpc - chain. The front door calls, chain serves.
@0xd82eb200b11064bd;

using Types = import "types.capnp";
using Mining = import "../core/mining.capnp";

interface RpcChain {
  executeRpc @0 (request :Text, uri :Text, user :Text) -> (response :Text);
  # One JSON-RPC request object {"method","params"}; params an array or an object. Answer: an object with
  # "result" or "error" {code,message}. Legal once chain has said ready.
  rest @1 (path :Text, query :Text, body :Data) -> (status :UInt16, contentType :Text, body :Data);
  subscribe @2 (events :ChainEvents) -> ();
  makeMining @3 () -> (result :Mining.Mining);
  ping @4 () -> ();
  # Null call, for the benchmark.
  echo @5 (data :Data) -> (data :Data);
  # At most 4 MiB, for the benchmark.
  coins @6 (outpoints :List(Types.Outpoint)) -> (coins :List(Types.Coin));
  # As on the edge wallet - chain, for methods that bring their own keys: chain never sees those.
  verifyInputs @7 (transaction :Data, spent :List(Types.Coin)) -> (errors :List(Text));
  # As on the edge wallet - chain.
}

interface ChainEvents {
  # Chain's stream to the front door. Served by rpc; one call in flight, later ones wait.
  blockConnected @0 (hash :Data, height :Int32, block :Data) -> ();
  blockDisconnected @1 (hash :Data, block :Data) -> ();
  transactionAdded @2 (transaction :Data, sequence :UInt64) -> ();
  transactionRemoved @3 (txid :Data, sequence :UInt64) -> ();
  updatedTip @4 (hash :Data) -> ();
  # A block that was connected is the tip now, and the node is not catching up.
}
