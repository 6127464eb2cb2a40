//! `TFRecord` framing: length, masked CRC of the length, data, masked CRC of the data.

/// Size of the framing of one record, in bytes.
pub(crate) const FRAME: usize = 16;

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

pub(crate) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + FRAME);
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
    out
}

/// Returns the data of the first record; `None` if it is incomplete.
pub(crate) fn next(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some((head, rest)) = bytes.split_first_chunk::<12>() else { return Ok(None) };
    let (mut length, mut crc) = ([0; 8], [0; 4]);
    length.copy_from_slice(&head[..8]);
    crc.copy_from_slice(&head[8..]);
    if masked(&length) != u32::from_le_bytes(crc) {
        return Err("the checksum of a record's length is wrong".to_owned());
    }
    let Ok(length) = usize::try_from(u64::from_le_bytes(length)) else { return Ok(None) };
    let Some((data, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let Some((crc, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if masked(data) != u32::from_le_bytes(*crc) {
        return Err("the checksum of a record's data is wrong".to_owned());
    }
    Ok(Some(data))
}

/// Returns the total length of the complete records, in bytes.
pub(crate) fn whole(bytes: &[u8]) -> Result<usize, (usize, String)> {
    let mut offset = 0;
    while let Some(data) = next(&bytes[offset..]).map_err(|reason| (offset, reason))? {
        offset += FRAME + data.len();
    }
    Ok(offset)
}
