//! CRC-32C as device-mapper has it: begun with all ones, not inverted at the end, and salted by the kind of block
//! (drivers/md/persistent-data/dm-block-manager.c, `dm_bm_checksum`).

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// Whether a block's first four bytes are the checksum of the rest.
pub fn holds(block: &[u8], salt: u32) -> bool {
    let Some((sum, rest)) = block.split_at_checked(4) else { return false };
    sum == salted(rest, salt).to_le_bytes()
}

pub fn salted(bytes: &[u8], salt: u32) -> u32 {
    crc(bytes) ^ salt
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_crc32c() {
        // The check value of CRC-32C, without its final inversion.
        assert_eq!(crc(b"123456789"), !0xe306_9283);
        let mut block = vec![0; 4];
        block.extend(b"123456789");
        assert!(!holds(&block, 7));
        block.splice(..4, (!0xe306_9283_u32 ^ 7).to_le_bytes());
        assert!(holds(&block, 7) && !holds(&block, 8) && !holds(&[1], 0));
    }
}
