# Edges: gui - wallet and gui - rpc. Typed reads for the window.
@0xb64ad6f5b6cd9f6e;

using Types = import "types.capnp";

interface GuiRpc {
  overview @0 () -> (tip :Types.Tip, peers :UInt32, sandbox :Text);
  # sandbox: the JSON of getsandboxinfo.
  ping @1 () -> ();
}

interface GuiWallet {
  balances @0 () -> (wallets :List(WalletBalance));
  ping @1 () -> ();
}

struct WalletBalance {
  name @0 :Text;
  trusted @1 :Int64;        # satoshi
  pending @2 :Int64;
  immature @3 :Int64;
}
