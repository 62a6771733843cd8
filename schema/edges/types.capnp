# Values that more than one edge carries.
@0x8a38d2173acf0c4a;

struct Verdict {
  # What chain says of a block, header, transaction or package.
  accepted @0 :Bool;
  reason @1 :Text;          # Core's reject reason ("bad-txnmrklroot"), empty when accepted
  debug @2 :Text;
  kind @3 :Kind;
  enum Kind {
    none @0;
    consensus @1;           # provably invalid: the sender misbehaves
    mutated @2;
    invalidHeader @3;
    cachedInvalid @4;
    missingPrevious @5;
    invalidPrevious @6;
    timeFuture @7;
    lowWork @8;
    policy @9;
    missingInputs @10;
    conflict @11;
    witnessStripped @12;
    alreadyHave @13;
    system @14;
    reconsiderable @15;     # refused for its fee alone: may pass in a package
    inputsNotStandard @16;  # whatever the witness is
  }
}

struct Tip {
  hash @0 :Data;            # 32 bytes, internal order
  height @1 :Int32;         # -1: no block yet
  time @2 :Int64;           # seconds, of the block
  medianTime @3 :Int64;     # seconds
  chainWork @4 :Data;       # 32 bytes, big endian
  initialBlockDownload @5 :Bool;
  bits @6 :UInt32;          # difficulty of the block, compact form
}

struct Outpoint {
  txid @0 :Data;            # 32 bytes, internal order
  vout @1 :UInt32;
}

struct Coin {
  found @0 :Bool;
  amount @1 :Int64;         # satoshi
  script @2 :Data;
  height @3 :Int32;
  coinbase @4 :Bool;
}
