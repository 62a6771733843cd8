//! What a wallet that was taken over sends to its key store: frames of one length field and one message each.

use bulkhead_schema::wire::wallet_keystore_capnp::request;
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

fn message(fill: impl FnOnce(request::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    fill(message.init_root::<request::Builder<'_>>());
    capnp::serialize::write_message_to_words(&message)
}

fn frame(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap_or(0).to_le_bytes(), content].concat()
}
