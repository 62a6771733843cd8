# Edge: wallet - chain. Wallet calls, chain serves; chain calls back through WalletEvents. The wallet gets
# whole blocks and matches scripts itself, so that chain never learns which scripts are ours.
@0xa93464220aef4731;

using Types = import "types.capnp";

interface WalletChain {
  subscribe @0 (events :WalletEvents) -> (tip :Types.Tip);
  getBlock @1 (hash :Data, height :Int32) -> (block :Data, hash :Data, height :Int32, time :Int64, medianTime :Int64, inActiveChain :Bool);
  # By hash, or by height on the active chain when hash is empty. block is empty when not on disk.
  findFork @2 (locator :List(Data)) -> (hash :Data, height :Int32);
  broadcast @3 (transaction :Data, maxFee :Int64, relay :Bool) -> (verdict :Types.Verdict, code :Int32);
  # maxFee in satoshi; code is the RPC error code that Core gives (-25, -26, -27).
  coins @4 (outpoints :List(Types.Outpoint)) -> (coins :List(Types.Coin));
  # Outputs that the chain has not spent, those of the mempool included, whether or not the mempool spends them;
  # at most 10,000.
  inMempool @5 (txid :Data) -> (inMempool :Bool, ancestors :UInt32, descendants :UInt32);
  state @6 () -> (tip :Types.Tip, mempoolMinFee :Int64, relayMinFee :Int64, incrementalFee :Int64, dustFee :Int64, pruned :Bool, pruneHeight :Int32);
  # Fees in satoshi per 1000 vbyte.
  estimateFee @7 (target :UInt32, conservative :Bool) -> (feeRate :Int64, returnedTarget :UInt32);
  # feeRate -1: no estimate.
  mempool @8 () -> (transactions :List(Data));
  # At most 32 MiB in all.
  blockFilterMatch @9 (hash :Data, filter :Data) -> (hasFilter :Bool);
  ping @10 () -> ();
  barrier @11 () -> ();
  # Answered when every event that happened before the call was sent to the subscribers and taken by them.
  verifyInputs @12 (transaction :Data, spent :List(Types.Coin)) -> (errors :List(Text));
  # One coin and one error per input; the error is empty when the input satisfies the script of its coin, or
  # when there is no coin.
}

interface WalletEvents {
  # Served by wallet, in order, one in flight; chain queues at most 1000 and then drops the connection (the
  # wallet catches up by locator when it is wired again).
  blockConnected @0 (hash :Data, height :Int32, block :Data, medianTime :Int64) -> ();
  blockDisconnected @1 (hash :Data, height :Int32, block :Data) -> ();
  transactionAdded @2 (transaction :Data) -> ();
  transactionRemoved @3 (txid :Data, reason :Text) -> ();
  updatedTip @4 (tip :Types.Tip) -> ();
}
