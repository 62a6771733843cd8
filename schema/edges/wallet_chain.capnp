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
  blockFilter @9 (hash :Data, height :Int32) -> (hash :Data, hasFilter :Bool, filter :Data);
  # By hash, or by height on the active chain when hash is empty. BIP158 basic filter from the index: the wallet does the
  # matching, so that chain never learns what for. The hash of the answer is empty when there is no such block.
  ping @10 () -> ();
  barrier @11 () -> ();
  # Answered when every event that happened before the call was sent to the subscribers and taken by them.
  verifyInputs @12 (transaction :Data, spent :List(Types.Coin)) -> (errors :List(Text));
  # One coin and one error per input; the error is empty when the input satisfies the script of its coin, or
  # when there is no coin.
  clusters @13 (txids :List(Data)) -> (transactions :List(PoolTransaction));
  # Everything in the mempool that is connected with these transactions, themselves included; at most 10,000 of them.
  blocksFrom @14 () -> (height :Int32);
  # The lowest height from which on all blocks of the active chain are on disk.
}

struct PoolTransaction {
  txid @0 :Data;
  vsize @1 :Int64;          # signature operations counted
  fee @2 :Int64;            # satoshi, with what prioritisetransaction added
  parents @3 :List(UInt32); # positions in the same list
}

interface WalletEvents {
  # Served by wallet, in order, one in flight; chain queues at most 1000 and 32 MiB, and then drops all but the newest tip (the
  # wallet sees the gap and catches up by locator).
  blockConnected @0 (hash :Data, height :Int32, block :Data, medianTime :Int64) -> ();
  blockDisconnected @1 (hash :Data, height :Int32, block :Data) -> ();
  transactionAdded @2 (transaction :Data) -> ();
  transactionRemoved @3 (txid :Data, reason :Text) -> ();
  updatedTip @4 (tip :Types.Tip) -> ();
}
