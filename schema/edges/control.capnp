# Edge: supervisor - each child. Plain messages, one per SOCK_SEQPACKET datagram (64 KiB at most), with
# descriptors as SCM_RIGHTS beside the datagram. No capabilities, no RPC: the key store reads this too.
@0xf55e4eda8c7128aa;

struct ToChild {
  # What the supervisor says to a child.
  union {
    configure @0 :Config;
    # First message, exactly once, before the child confines itself.
    wire @1 :List(Edge);
    # Descriptors for the named edges, in the same order as in the ancillary data. Sent after the child's
    # report; sent again with one edge when a peer was restarted.
    reply @2 :Reply;
    shutdown @3 :Void;
    # Finish in-flight work, flush, exit 0.
    reopenLog @4 :Void;
    # The descriptor beside it replaces the log.
    run @5 :Command;
    # Only to notify: run the command of one template.
    setMockTime @6 :Int64;
    logCategories @7 :List(LogLevel);
    # The complete list that is now in force.
    forwardScheduler @8 :Int64;
    # Seconds by which what is planned for later comes sooner.
  }
}

struct FromChild {
  # What a child says to the supervisor.
  union {
    report @0 :Report;
    # Once, after confinement and before any untrusted byte.
    ready @1 :Void;
    # Once: the component serves its edges.
    request @2 :Request;
    fatal @3 :Text;
    # The node must stop with this text and exit code 1.
    initError @4 :Text;
    # Start-up failed with this text (without the "Error: " prefix).
    initMessage @5 :Text;
    # Progress text for warm-up ("Loading block index…").
    warning @6 :Text;
    # Shown once on stderr as "Warning: ...".
    notify @7 :Command;
    # Ask for a notification command (alert, block, wallet, startup, shutdown).
    applied @8 :Void;
    # A setMockTime, logCategories or forwardScheduler is in force here.
    walletLoaded @9 :Text;
    # A wallet of this name is loaded: the next wallet process loads it if this one is lost.
    walletReleased @10 :Text;
    # It is not loaded any more.
  }
}

struct Field {
  # One configuration value. Absent, surplus or mistyped fields are errors.
  name @0 :Text;
  union {
    flag @1 :Bool;
    integer @2 :Int64;
    real @3 :Float64;
    text @4 :Text;
    texts @5 :List(Text);
    bytes @6 :Data;
  }
}

struct Config {
  component @0 :Text;
  sandbox @1 :Text;         # strict, degraded or off
  fields @2 :List(Field);
  log @3 :Log;
  descriptors @4 :List(Text);
  # Names of the descriptors beside this message, in order (log, console, listening sockets, directories).
  memory @5 :UInt64;        # bytes of private data that the process may have; 0: what its policy says
}

struct Log {
  levels @0 :List(LogLevel);
  timeMicros @1 :Bool;
  threadNames @2 :Bool;
  sourceLocations @3 :Bool;
  timestamps @4 :Bool;
  levelAlways @5 :Bool;
  mockTime @6 :Int64;       # seconds; 0: the real clock
}

struct LogLevel {
  category @0 :Text;
  level @1 :Text;           # trace, debug
}

struct Edge {
  name @0 :Text;            # "rpc-chain", "net-chain", "wallet-keystore", ...
  instance @1 :Text;        # wallet name for a key store, empty otherwise
}

struct Command {
  template @0 :Text;        # blocknotify, walletnotify, alertnotify, startupnotify, shutdownnotify
  values @1 :List(Value);
}

struct Value {
  key @0 :Text;             # "s", "b", "h", "w", ...
  value @1 :Text;
}

struct Request {
  id @0 :UInt64;
  union {
    stop @1 :Void;
    # The stop RPC.
    sandboxInfo @2 :Void;
    # Answer: JSON text.
    openKeystore @3 :OpenKeystore;
    # Answer: one descriptor, the stream to the new key store.
    openFile @4 :OpenFile;
    # Answer: one descriptor.
    listWalletDir @5 :Void;
    # Answer: JSON text, array of wallet names.
    setMockTime @6 :Int64;
    # Broadcast to every component. Answer: empty.
    logging @7 :List(LogLevel);
    # Change what every component logs. Answer: empty.
    updateSetting @8 :UpdateSetting;
    # settings.json: only the key "wallet".
    spawnEcho @9 :Text;
    # echoipc: a second bitcoin-node is spawned, echoes the text and leaves.
    activateSnapshot @10 :Void;
    # chainstate/snapshot_next becomes chainstate_snapshot. Answer: empty.
    forwardScheduler @11 :Int64;
    # Seconds. Broadcast to every component. Answer: empty.
    awaitKeystoreEnd @12 :Text;
    # A wallet's name. Answer: empty, when no key store of that name runs any more and what it leaves is cleared.
  }
}

struct OpenKeystore {
  name @0 :Text;
  create @1 :Bool;          # the directory and file must not exist
  oneShot @2 :Bool;         # a key store without a file, for keys brought by the call
  restore @3 :Bool;         # with create: the file will come from a backup
}

struct OpenFile {
  purpose @0 :Text;
  # backupWallet, exportWallet (create only), restoreWallet (read), dumpTxOutSet (create only), loadTxOutSet (read),
  # importMempool (read), loadBlock (read); without a path, files of fixed names in the network's directory: saveMempool
  # (create or replace mempool.dat.new), finishMempool (it becomes mempool.dat), saveFeeEstimates (create or replace)
  path @1 :Text;
}

struct UpdateSetting {
  name @0 :Text;
  values @1 :List(Text);
}

struct Reply {
  id @0 :UInt64;
  union {
    ok @1 :Text;            # JSON or plain text, by request; descriptors beside the message
    error @2 :Text;
  }
  code @3 :Int32;           # RPC error code that suits the error, or 0
}

struct Report {
  # What confinement was achieved, as getsandboxinfo shows it.
  pid @0 :Int32;
  uid @1 :UInt32;
  mode @2 :Text;
  noNewPrivs @3 :Bool;
  seccompMode @4 :UInt32;
  filterHash @5 :Text;      # SHA-256 of the installed BPF programs, hex
  allowedSyscalls @6 :UInt32;
  filteredSyscalls @7 :UInt32;
  landlockAbi @8 :UInt32;
  landlockRights @9 :List(Text);
  namespaces @10 :List(Text);
  descriptors @11 :List(Text);   # "3 socket control", ...
  missing @12 :List(Text);       # layers that the kernel did not grant
  capabilities @13 :Text;        # effective set, hex
  dumpable @14 :Bool;
}
