//! The `range` parameter of methods that take descriptors (Core: `ParseDescriptorRange`).

use crate::params::as_int;
use crate::{RpcError, RpcResult};
use serde_json::Value;

/// First and last position of a range parameter: an end, or a pair.
///
/// # Errors
/// Core's.
pub fn parse_range(value: &Value) -> RpcResult<(u32, u32)> {
    let (low, high): (i64, i64) = match value {
        Value::Number(_) => (0, as_int(value)?),
        Value::Array(pair) if pair.len() == 2 && pair.iter().all(Value::is_number) => {
            let (low, high) = (as_int(&pair[0])?, as_int(&pair[1])?);
            if low > high {
                let text = "Range specified as [begin,end] must not have begin after end";
                return Err(RpcError::parameter(text));
            }
            (low, high)
        }
        _ => return Err(RpcError::parameter("Range must be specified as end or as [begin,end]")),
    };
    if low < 0 {
        return Err(RpcError::parameter("Range should be greater or equal than 0"));
    }
    if high >> 31 != 0 {
        return Err(RpcError::parameter("End of range is too high"));
    }
    if high >= low + 1_000_000 {
        return Err(RpcError::parameter("Range is too large"));
    }
    Ok((low as u32, high as u32)) // both fit into 31 bits
}
