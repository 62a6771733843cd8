# Edge: rpc - wallet. The front door calls, wallet serves. Requests can hold passphrases: payloads are
# logged as <redacted>.
@0xaf070eac4cfe8b91;

interface RpcWallet {
  executeRpc @0 (request :Text, uri :Text, user :Text) -> (response :Text);
  # As in rpc_chain.capnp; uri names the wallet ("/wallet/<percent-encoded name>").
  ping @1 () -> ();
}
