//! The wallet methods: one file per family. Texts, codes and the order of fields are those of Core
//! (`wallet/rpc`). Requests can hold passphrases, so nothing here logs them.

mod addresses;
mod balances;
mod bump;
mod coins;
mod describe;
mod descriptors;
mod encrypt;
mod files;
mod fund;
mod history;
mod import;
mod info;
mod labels;
mod options;
mod outputs;
mod pruned;
mod psbt;
mod received;
mod rescan;
mod send;
mod sendall;
mod simulate;
mod util;

use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{ArgKind, ArgSpec, Params, RpcError, RpcResult};
use bulkhead_schema::methods::{self, Kind};
use serde_json::{Value, json};
use std::rc::Rc;

use crate::app::App;

/// One call.
pub(crate) struct Call {
    pub(crate) app: Rc<App>,
    pub(crate) params: Params,
    pub(crate) uri: String,
}

fn arg_kind(arg: &methods::Arg) -> ArgKind {
    if arg.unchecked {
        return ArgKind::Any;
    }
    match arg.kind {
        Kind::Str | Kind::Hex => ArgKind::Str,
        Kind::Num => ArgKind::Num,
        Kind::Amount => ArgKind::Amount,
        Kind::Range => ArgKind::Range,
        Kind::Bool => ArgKind::Bool,
        Kind::Obj | Kind::Named | Kind::UserKeys => ArgKind::Obj,
        Kind::Arr => ArgKind::Arr,
    }
}

/// Answers one request object with `{"result":...}` or `{"error":...}`.
pub async fn execute(app: &Rc<App>, request: &str, uri: &str) -> String {
    let answer = match run(app, request, uri).await {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": error.to_json() }),
    };
    answer.to_string()
}

async fn run(app: &Rc<App>, request: &str, uri: &str) -> RpcResult {
    if app.starting.get() {
        return Err(RpcError::new(code::IN_WARMUP, "Loading wallet…"));
    }
    let bad = || RpcError::new(code::INVALID_REQUEST, "Invalid Request object");
    let mut request: Value = serde_json::from_str(request).map_err(|_| bad())?;
    let name = request.get("method").and_then(Value::as_str).ok_or_else(bad)?.to_owned();
    let values = match request.get_mut("params").map(Value::take) {
        Some(Value::Array(values)) => values,
        None | Some(Value::Null) => Vec::new(),
        _ => return Err(RpcError::new(code::INVALID_REQUEST, "Params must be an array or object")),
    };
    let method = methods::find(&name).ok_or_else(|| RpcError::new(code::METHOD_NOT_FOUND, "Method not found"))?;
    let params = Params::new(values);
    let specs: Vec<ArgSpec> =
        method.args.iter().map(|arg| ArgSpec { name: arg.names, kind: arg_kind(arg), required: !arg.is_optional() }).collect();
    params.check(&specs, || methods::help_of(method))?;
    let call = Call { app: app.clone(), params, uri: uri.to_owned() };
    dispatch(&name, &call).await
}

async fn dispatch(name: &str, call: &Call) -> RpcResult {
    match name {
        "createwallet" => files::create(call).await,
        "loadwallet" => files::load(call).await,
        "unloadwallet" => files::unload(call).await,
        "listwallets" => files::list(call),
        "listwalletdir" => files::list_dir(call).await,
        "backupwallet" => files::backup(call).await,
        "restorewallet" => files::restore(call).await,
        "exportwatchonlywallet" => files::export_watch_only(call).await,
        "migratewallet" => files::migrate(call).await,
        "importprunedfunds" => pruned::import(call).await,
        "removeprunedfunds" => pruned::remove(call).await,
        "getwalletinfo" => info::wallet_info(call).await,
        "setwalletflag" => info::set_flag(call).await,
        "keypoolrefill" => info::keypool_refill(call).await,
        "getnewaddress" => addresses::new_address(call).await,
        "getrawchangeaddress" => addresses::change_address(call).await,
        "getaddressinfo" => describe::address_info(call).await,
        "listaddressgroupings" => addresses::groupings(call).await,
        "signmessage" => addresses::sign_message(call).await,
        "setlabel" => labels::set(call).await,
        "listlabels" => labels::list(call),
        "getaddressesbylabel" => labels::addresses(call),
        "getbalance" => balances::balance(call).await,
        "getbalances" => balances::balances(call).await,
        "listunspent" => coins::list_unspent(call).await,
        "lockunspent" => coins::lock(call).await,
        "listlockunspent" => coins::list_locked(call),
        "getreceivedbyaddress" => received::by_address(call).await,
        "getreceivedbylabel" => received::by_label(call).await,
        "listreceivedbyaddress" => received::list(call, false).await,
        "listreceivedbylabel" => received::list(call, true).await,
        "gettransaction" => history::transaction(call).await,
        "listtransactions" => history::list(call).await,
        "listsinceblock" => history::since_block(call).await,
        "abandontransaction" => history::abandon(call).await,
        "sendtoaddress" => send::to_address(call).await,
        "sendmany" => send::many(call).await,
        "send" => fund::send(call).await,
        "sendall" => sendall::send_all(call).await,
        "fundrawtransaction" => fund::fund_raw(call).await,
        "walletcreatefundedpsbt" => fund::create_funded_psbt(call).await,
        "signrawtransactionwithwallet" => psbt::sign_raw(call).await,
        "walletprocesspsbt" => psbt::process(call).await,
        "bumpfee" => bump::bump(call, false).await,
        "psbtbumpfee" => bump::bump(call, true).await,
        "encryptwallet" => encrypt::encrypt(call).await,
        "walletpassphrase" => encrypt::passphrase(call).await,
        "walletlock" => encrypt::lock(call).await,
        "walletpassphrasechange" => encrypt::change(call).await,
        "importdescriptors" => import::descriptors(call).await,
        "listdescriptors" => descriptors::list(call).await,
        "gethdkeys" => descriptors::hd_keys(call).await,
        "createwalletdescriptor" => descriptors::create(call).await,
        "addhdkey" => descriptors::add_hd_key(call).await,
        "rescanblockchain" => rescan::rescan(call).await,
        "abortrescan" => rescan::abort(call),
        "simulaterawtransaction" => simulate::simulate(call).await,
        _ => Err(RpcError::new(code::METHOD_NOT_FOUND, "Method not found")),
    }
}
