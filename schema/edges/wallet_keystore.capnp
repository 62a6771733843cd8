# Edge: wallet - keystore. Flat structs in plain framed messages (4-byte little-endian length, then one
# Cap'n Proto message without a segment table of more than one segment), request and reply, one at a time.
# No capabilities, no lists of lists. 1 MiB at most, except records and what is to be signed (16 MiB).
@0x960dba4adf1cd007;

struct Request {
  union {
    create @0 :Create;
    open @1 :Void;
    # Reads the file; answer: records (all that hold no private key), in pages.
    records @2 :Page;
    write @3 :List(Record);
    # Public records only; a record type that can hold a secret is refused. One SQLite transaction.
    addDescriptor @4 :AddDescriptor;
    # Parses the descriptor with private keys, stores its records, answers the public form.
    generateDescriptors @5 :Void;
    # A new BIP32 seed and Core's eight default descriptors.
    encrypt @6 :Data;
    # Passphrase. Rewrites the file so that no plain key stays on disk.
    unlock @7 :Unlock;
    lock @8 :Void;
    changePassphrase @9 :ChangePassphrase;
    signTransaction @10 :SignTransaction;
    signMessage @11 :SignMessage;
    exportDescriptor @12 :Export;
    # Only with consent set.
    backup @13 :Void;
    # Beside the message: a descriptor to write the file to.
    restore @14 :Void;
    # Beside the message: a descriptor to read the file from; before open.
    close @15 :Void;
    discard @30 :Void;
    # Closes the file; a file that this process restored is removed again.
    dump @31 :Void;
    # Beside the message: a descriptor to write all records to, as text; after verify or open.
    createFromDump @32 :Void;
    # Beside the message: a descriptor to read such a text from; the file is made from it and closed.
    status @16 :Void;
    flush @17 :Void;
    topUp @18 :TopUp;
    # A descriptor whose keys are derived through hardened steps at each index (`/*h`): only the key store can
    # extend it. Answer: descriptors, one, with the cache records of the new indexes.
    oneShotSignMessage @19 :OneShotMessage;
    # signmessagewithprivkey. Answer: text, the base64 signature. Legal without a file.
    oneShotSignTransaction @20 :OneShotTransaction;
    # descriptorprocesspsbt. Answer: signed. Legal without a file.
    setRules @21 :SetRules;
    # Spending rules of the owner. An encrypted wallet asks for its passphrase, unlocked or not.
    rules @22 :Void;
    # Answer: text, the rules in the form that setRules takes.
    generateDescriptor @23 :Generate;
    # createwalletdescriptor: one more descriptor of an HD key that the wallet holds.
    exportHdKeys @24 :Bool;
    # gethdkeys; true is the consent that private keys may leave. Answer: hdKeys.
    signRaw @25 :RawTransaction;
    # signrawtransactionwithwallet. Answer: signed, whose `psbt` holds the transaction itself.
    oneShotSignRaw @26 :OneShotRaw;
    # signrawtransactionwithkey, and combinerawtransaction without any key. The same answer. Legal without a file.
    verify @27 :Void;
    # Opens the file and checks that it is a sound database of this network, before open reads it.
    addHdKey @28 :Text;
    # addhdkey: an extended private key, or empty for a fresh one. Answer: descriptors, one: unused(xpub).
    hold @33 :Bool;
    # A scan begins (true) or has ended: meanwhile the key store does not forget its keys when the time of `unlock` is over,
    # but uses them for topUp only, as if it were locked. Answer: ok.
    exportWatchOnly @29 :Void;
    # Beside the message: a descriptor to write a wallet file to that holds everything but the private keys.
  }
}

struct RawTransaction {
  transaction @0 :Data;     # with the signatures that it has already
  coins @1 :List(SpentCoin);
  sighash @2 :UInt32;       # 0: default
  copies @3 :List(Data);    # the same transaction with other signatures, which are merged in
}

struct OneShotRaw {
  raw @0 :RawTransaction;
  wifs @1 :List(Text);
}

struct SpentCoin {
  txid @0 :Data;            # 32 bytes, internal order
  vout @1 :UInt32;
  script @2 :Data;
  amount @3 :UInt64;        # satoshi
  redeemScript @4 :Data;    # empty: not given
  witnessScript @5 :Data;   # empty: not given
  previous @6 :Data;        # the transaction that made the coin, which proves its amount; empty: not known
}

struct TopUp {
  id @0 :Data;
  rangeEnd @1 :Int32;       # exclusive
}

struct OneShotMessage {
  wif @0 :Text;
  message @1 :Text;
}

struct OneShotTransaction {
  psbt @0 :Data;            # BIP174 with every spent output; existing signatures stay
  wifs @1 :List(Text);
  descriptors @2 :List(OneShotDescriptor);
  sighash @3 :UInt32;       # 0: default
  finalize @4 :Bool;
  bip32Derivations @5 :Bool;
}

struct OneShotDescriptor {
  descriptor @0 :Text;      # with private keys or without
  rangeStart @1 :Int32;
  rangeEnd @2 :Int32;       # exclusive
}

struct SetRules {
  passphrase @0 :Data;      # empty: the wallet is not encrypted
  rules @1 :Text;
}

struct Generate {
  hdKey @0 :Text;           # xpub, or empty: the key of the active descriptors
  outputType @1 :Text;
  internal @2 :Bool;
}

struct Create {
  blank @0 :Bool;
  disablePrivateKeys @1 :Bool;
  passphrase @2 :Data;      # empty: not encrypted
  flags @3 :UInt64;         # Core's wallet flags
  generate @4 :Bool;        # with Core's eight default descriptors, in the same step
}

struct Page {
  start @0 :UInt64;
  limit @1 :UInt32;         # records
}

struct Record {
  key @0 :Data;
  value @1 :Data;
  erase @2 :Bool;
}

struct AddDescriptor {
  descriptor @0 :Text;      # with private keys when the wallet may hold them
  rangeStart @1 :Int32;
  rangeEnd @2 :Int32;
  nextIndex @3 :Int32;
  creationTime @4 :Int64;   # seconds
}

struct Unlock {
  passphrase @0 :Data;
  seconds @1 :Int64;        # locks itself after that
}

struct ChangePassphrase {
  old @0 :Data;
  new @1 :Data;
}

struct SignTransaction {
  psbt @0 :Data;            # BIP174 serialization with every spent output
  sighash @1 :UInt32;       # 0: default
  finalize @2 :Bool;
  bip32Derivations @3 :Bool;
  updateOnly @4 :Bool;      # fill in scripts and origins, sign nothing
}

struct SignMessage {
  address @0 :Text;
  message @1 :Text;
  script @2 :Data;          # the output script of the address
}

struct Export {
  id @0 :Data;              # descriptor id, 32 bytes
  consent @1 :Bool;
}

struct Reply {
  union {
    ok @0 :Void;
    error @1 :Error;
    records @2 :RecordPage;
    descriptors @3 :List(Descriptor);
    signed @4 :Signed;
    text @5 :Text;
    status @6 :Status;
    hdKeys @7 :List(HdKey);
  }
}

struct HdKey {
  xpub @0 :Text;
  xprv @1 :Text;            # empty without consent
  descriptors @2 :List(Data); # ids, 32 bytes each
  hasPrivate @3 :Bool;      # the wallet holds its private key, locked or not
}

struct InputError {
  index @0 :UInt32;
  message @1 :Text;         # Core's words
}

struct Error {
  code @0 :Int32;           # RPC error code of Core that suits it
  message @1 :Text;
  policy @2 :Text;          # spending rule tag, or empty
}

struct RecordPage {
  records @0 :List(Record);
  more @1 :Bool;
}

struct Descriptor {
  id @0 :Data;
  public @1 :Text;          # with checksum
  private @2 :Text;         # only in the answer to export
  rangeStart @3 :Int32;
  rangeEnd @4 :Int32;
  nextIndex @5 :Int32;
  creationTime @6 :Int64;
  active @7 :Bool;
  internal @8 :Bool;
  outputType @9 :Text;      # legacy, p2sh-segwit, bech32, bech32m, or empty
  cache @10 :List(Data);    # descriptor cache records that a hardened descriptor needs, encoded as in wallet.dat
}

struct Signed {
  psbt @0 :Data;
  complete @1 :Bool;
  errors @2 :List(InputError); # inputs that are not fully signed, ascending
}

struct Status {
  encrypted @0 :Bool;
  locked @1 :Bool;
  unlockedUntil @2 :Int64;  # seconds; 0: locked or not encrypted
  hasPrivateKeys @3 :Bool;
  flags @4 :UInt64;
  fileBytes @5 :UInt64;
}
