//! What a wallet sends to its key store: every kind of request, and what one that was taken over says: frames of one length
//! field and one message each.

use bulkhead_keystore_edge::{OneShotDescriptor, RawTransaction, Record, Request, Secret, SecretText, SpentCoin};
use bulkhead_schema::wire::wallet_keystore_capnp::{reply, request};
use capnp::message::Builder;

use super::Source;

/// A request of every kind that the schema has.
#[must_use]
pub fn every_request() -> Vec<Request> {
    let secret = || Secret::new(b"pass".to_vec());
    let text = |text: &str| SecretText::new(text.to_owned());
    let wif = || text("cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA");
    let descriptor = || text("wpkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)");
    let coin =
        SpentCoin { script: vec![0x51], amount: 5, redeem_script: vec![0x51], previous: vec![2; 60], ..SpentCoin::default() };
    let raw = || RawTransaction { transaction: vec![2; 60], coins: vec![coin.clone()], sighash: 1, copies: vec![vec![2; 60]] };
    let psbt = || b"psbt\xff\x00".to_vec();
    vec![
        Request::Create { blank: false, disable_private_keys: false, passphrase: secret(), flags: 0, generate: true },
        Request::Open,
        Request::Records { start: 0, limit: 100 },
        Request::Write(vec![Record { key: b"\x04name".to_vec(), value: vec![1, 2], erase: false }]),
        Request::AddDescriptor { descriptor: descriptor(), range_start: 0, range_end: 1, next_index: 0, creation_time: 7 },
        Request::GenerateDescriptors,
        Request::Encrypt(secret()),
        Request::Unlock { passphrase: secret(), seconds: 60 },
        Request::Lock,
        Request::ChangePassphrase { old: secret(), new: secret() },
        Request::SignTransaction { psbt: psbt(), sighash: 0, finalize: true, bip32_derivations: false, update_only: false },
        Request::SignMessage { address: "a".into(), message: "m".into(), script: vec![0x51] },
        Request::ExportDescriptor { id: [1; 32], consent: true },
        Request::Backup,
        Request::Restore,
        Request::Close,
        Request::Discard,
        Request::Dump,
        Request::CreateFromDump,
        Request::Status,
        Request::Flush,
        Request::Hold(true),
        Request::TopUp { id: [1; 32], range_end: 5 },
        Request::OneShotSignMessage { wif: wif(), message: "m".into() },
        Request::OneShotSignTransaction {
            psbt: psbt(),
            wifs: vec![wif()],
            descriptors: vec![OneShotDescriptor { descriptor: descriptor(), range_start: 0, range_end: 1 }],
            sighash: 1,
            finalize: true,
            bip32_derivations: true,
        },
        Request::SignRaw(raw()),
        Request::OneShotSignRaw { raw: raw(), wifs: vec![wif()] },
        Request::SetRules { passphrase: secret(), rules: "fee-max 1000\n".into() },
        Request::Rules,
        Request::GenerateDescriptor { hd_key: String::new(), output_type: "bech32".into(), internal: true },
        Request::ExportHdKeys { consent: false },
        Request::Verify,
        Request::AddHdKey(text("")),
        Request::ExportWatchOnly,
    ]
}

/// Frames made of any bytes: requests for signatures, exports and state in any order, and noise of a plausible length.
#[must_use]
pub fn keystore_frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut source = Source::new(bytes);
    let mut frames = vec![frame(&message(|mut request| request.set_open(())))];
    while !source.is_empty() && frames.len() < 200 {
        frames.push(match source.below(12) {
            0 => frame(&message(|mut request| request.set_open(()))),
            1 => frame(&message(|mut request| request.set_export_hd_keys(true))),
            2 => frame(&message(|mut request| request.set_generate_descriptors(()))),
            3 => {
                let (text, script) = (source.word().to_string(), source.take(25).to_vec());
                frame(&message(|request| {
                    let mut sign = request.init_sign_message();
                    sign.set_address("bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka");
                    sign.set_message(text.as_str());
                    sign.set_script(&script);
                }))
            }
            4 => {
                let psbt = source.take(100).to_vec();
                frame(&message(|request| request.init_sign_transaction().set_psbt(&psbt)))
            }
            5 => {
                let id = [source.byte(); 32];
                frame(&message(|request| {
                    let mut export = request.init_export_descriptor();
                    export.set_id(&id);
                    export.set_consent(true);
                }))
            }
            6 => frame(&message(|mut request| request.set_status(()))),
            7 => frame(&message(|mut request| request.set_lock(()))),
            8 => {
                let start = u64::from(source.word()) << 32;
                frame(&message(|request| {
                    let mut page = request.init_records();
                    page.set_start(start);
                    page.set_limit(u32::MAX);
                }))
            }
            9 => {
                let guess = source.take(8).to_vec();
                frame(&message(|request| {
                    let mut unlock = request.init_unlock();
                    unlock.set_passphrase(&guess);
                    unlock.set_seconds(i64::MAX);
                }))
            }
            10 => frame(&message(|mut request| request.set_rules(()))),
            _ => {
                let count = source.below(64);
                frame(source.take(count))
            }
        });
    }
    frames
}

/// Whether a reply of the key store is a signed transaction or message. The requests above ask for no other text than the
/// spending rules, which do not look like one.
#[must_use]
pub fn is_signature(content: &[u8]) -> bool {
    let mut rest = content;
    let message = capnp::serialize::read_message_from_flat_slice(&mut rest, capnp::message::ReaderOptions::new());
    let Ok(message) = message else { return false };
    match message.get_root::<reply::Reader<'_>>().ok().and_then(|reply| reply.which().ok()) {
        Some(reply::Signed(Ok(signed))) => signed.get_complete(),
        Some(reply::Text(Ok(text))) => text.len() == 88 && text.as_bytes().ends_with(b"="),
        _ => false,
    }
}

fn message(fill: impl FnOnce(request::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(message.init_root::<request::Builder<'_>>());
    capnp::serialize::write_message_to_words(&message)
}

fn frame(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap_or(0).to_le_bytes(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_known_from_other_replies() {
        let reply = |fill: fn(reply::Builder<'_>)| {
            let mut message = Builder::new_default();
            fill(message.init_root());
            capnp::serialize::write_message_to_words(&message)
        };
        assert!(is_signature(&reply(|mut reply| reply.set_text(format!("{}=", "A".repeat(87)).as_str()))));
        assert!(is_signature(&reply(|reply| reply.init_signed().set_complete(true))));
        assert!(!is_signature(&reply(|mut reply| reply.set_text("no rules"))));
        assert!(!is_signature(&reply(|mut reply| reply.set_ok(()))) && !is_signature(b"noise"));
    }
}
