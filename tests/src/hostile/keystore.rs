//! What a wallet that was taken over sends to its key store: frames of one length field and one message each.

use bulkhead_schema::wire::wallet_keystore_capnp::{reply, request};
use capnp::message::Builder;

use super::Source;

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
