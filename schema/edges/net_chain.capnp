# Edge: net - chain. Net calls, chain serves; chain calls back through NetEvents. Everything that net says
# is untrusted. Hashes are 32 bytes in internal order. An id of a transaction is 33 bytes: 0 and a txid, or 1 and a wtxid.
#
# Bounds: what is said below of sizes fails the call when it is exceeded. Calls in flight are bounded by the edge
# (limits.rs); calls that change something run one after the other, in the order in which they came.
@0xaf304ff4c5acb97a;

using Types = import "types.capnp";

interface NetChain {
  subscribe @0 (events :NetEvents) -> (tip :Types.Tip);
  # Once per connection; a second call is an error.
  locator @1 (from :Data) -> (hashes :List(Data));
  # Block locator from the given block (empty: the best header). At most 101 hashes.
  submitHeaders @2 (headers :Data, minPowChecked :Bool) -> (verdict :Types.Verdict, last :Types.Tip, inActiveChain :Bool, isNew :Bool, start :Types.Tip);
  # 80-byte headers back to back, at most 2000. last: the last known header. isNew: the last was unknown before.
  # start: the parent of the first.
  submitBlock @3 (block :Data, requested :Bool) -> (verdict :Types.Verdict, isNew :Bool, connected :Bool);
  # At most 4,000,000 bytes. Answers after validation. connected: it was found valid and became part of the active chain.
  submitTransaction @4 (transaction :Data) -> (outcome :TransactionOutcome);
  # At most 4,000,000 bytes.
  findHeaders @5 (locator :List(Data), stop :Data, limit :UInt32) -> (headers :Data);
  # At most 2000 headers of the active chain, 80 bytes each.
  findHashes @6 (locator :List(Data), stop :Data, limit :UInt32) -> (hashes :List(Data));
  # At most 500 hashes of the active chain (getblocks).
  getBlock @7 (hash :Data) -> (info :HeaderInfo, block :Data);
  # Consensus serialization with witness; empty when not on disk.
  getTransactions @8 (ids :Data, before :UInt64) -> (transactions :List(Data));
  # At most 1000 ids. Transactions of the mempool that came in before that sequence number (none: any), or of the newest
  # block; empty when unknown. At most 8,000,000 bytes: the answer may be shorter than the question, but not empty.
  haveTransactions @9 (ids :Data) -> (have :Data);
  # At most 50,000 ids; one byte each: 1 when it is in the mempool or was confirmed lately.
  missingBlocks @10 (best :Data, limit :UInt32) -> (blocks :List(WantedBlock));
  # Blocks on the way from the active chain to the header `best` whose data we lack, lowest first; when none is missing,
  # those below a snapshot that `best` builds on. At most 2048.
  headerInfo @11 (hashes :Data) -> (found :List(HeaderInfo));
  # At most 50,000.
  mempoolIds @12 (minFeeRate :UInt64) -> (wtxids :Data);
  # At most 50,000.
  state @13 () -> (tip :Types.Tip, bestHeader :Types.Tip, mempoolMinFee :UInt64, loadingBlocks :Bool, minimumWork :Data, sequence :UInt64, warnings :List(Text), historyMissing :Bool);
  # warnings: what users should know about the chain or this node; at most 16 of at most 1000 bytes. historyMissing: blocks
  # below a snapshot are on their way, so that they can't be offered to peers and must be fetched.
  ping @14 () -> ();
  submitPackage @15 (parent :Data, child :Data) -> (accepted :Bool, outcomes :List(TransactionOutcome));
  # A parent and a child that pays for it; outcomes in this order. At most 4,000,000 bytes each.
  submitCompactBlock @16 (compactBlock :Data, wanted :Bool) -> (outcome :CompactOutcome);
  # A message cmpctblock, at most 4,000,000 bytes. wanted: fill it if that makes sense.
  blockFilters @17 (start :UInt32, stop :Data, what :FilterPart) -> (filters :List(BlockFilter));
  # At most 2001 records, at most 8,000,000 bytes of filters: the answer may end early. Empty when the index lacks one.
  broadcastSeen @18 (ids :Data) -> ();
  # Txids that a peer has fetched, 32 bytes each, at most 1000: they are no longer waiting for their first broadcast.
  testTransaction @19 (transaction :Data) -> (verdict :Types.Verdict);
  # Judges as submitTransaction, but changes nothing. At most 4,000,000 bytes.
}

interface PartialBlock {
  # A block of which transactions are missing. Chain keeps at most 64 of one connection; beyond that submitCompactBlock fails.
  fill @0 (transactions :List(Data)) -> (status :CompactStatus, verdict :Types.Verdict, isNew :Bool, connected :Bool);
  # The missing transactions in order, at most 4,000,000 bytes in all. Once; answers after validation.
}

enum CompactStatus {
  none @0;
  ok @1;
  invalid @2;   # against the rules of BIP 152: the sender misbehaves
  failed @3;    # short ids collide: ask for the whole block
}

struct CompactOutcome {
  verdict @0 :Types.Verdict;    # of the header
  last @1 :Types.Tip;           # the header
  isNew @2 :Bool;               # the header was unknown
  haveData @3 :Bool;            # the block is on disk
  hadData @4 :Bool;             # it was on disk once
  distance @5 :Int32;           # blocks above the tip
  lessWork @6 :Bool;            # not more work than the tip
  status @7 :CompactStatus;
  missing @8 :List(UInt16);     # places of the transactions that are to be fetched
  partial @9 :PartialBlock;
}

struct TransactionOutcome {
  verdict @0 :Types.Verdict;
  missingParents @1 :List(Data);  # transactions that it spends and that are neither in the mempool nor confirmed lately
  poolSize @2 :UInt64;            # transactions in the mempool afterwards
  poolMemory @3 :UInt64;          # bytes
}

struct HeaderInfo {
  known @0 :Bool;
  tip @1 :Types.Tip;
  haveData @2 :Bool;
  inActiveChain @3 :Bool;
  valid @4 :Bool;                 # validated fully
  hadData @5 :Bool;               # its data was on disk at some time
}

struct WantedBlock {
  hash @0 :Data;
  height @1 :Int32;
}

enum FilterPart {
  contents @0;
  hashes @1;
  checkpoints @2;                 # headers of every thousandth block up to stop
}

struct BlockFilter {
  block @0 :Data;
  content @1 :Data;               # only with contents
  hash @2 :Data;
  header @3 :Data;
}

struct AcceptedTransaction {
  txid @0 :Data;
  wtxid @1 :Data;
  feeRate @2 :UInt64;             # satoshi per 1000 vbyte
  vsize @3 :UInt32;
  sequence @4 :UInt64;            # of the mempool
  ancestors @5 :UInt32;           # in the mempool, itself included
}

interface NetEvents {
  # Served by net. One call in flight each; chain drops to the newest tip when net is slow.
  updatedTip @0 (tip :Types.Tip, headers :List(Data)) -> ();
  # headers: up to 288 new block hashes, oldest first; net announces the newest 8.
  transactionsAccepted @1 (accepted :List(AcceptedTransaction)) -> ();
  # Into the mempool: relay them. At most 200.
  blockChecked @2 (hash :Data, verdict :Types.Verdict) -> ();
  headersTip @3 (tip :Types.Tip) -> ();
  newBlock @4 (tip :Types.Tip, block :Data) -> ();
  # A block on top of the tip that has its proof of work and is well formed; it was not connected yet.
  transactionsRemoved @5 (wtxids :Data) -> ();
  # Out of the mempool, other than by a block. At most 1000.
  broadcastPrivately @6 (transaction :Data) -> (outcome :PrivateOutcome);
  # A transaction of the user (-privatebroadcast), at most 4,000,000 bytes: to be sent over connections of its own.
  stateChanged @7 () -> ();
  # The import of blocks is over, or a snapshot was loaded. Net asks for NetChain.state before it answers, and users hear of it after that.
}

enum PrivateOutcome {
  queued @0;        # or it was before
  full @1;          # too many wait already
  unreachable @2;   # no network that hides where we are can be reached
}
