//! Registry values and how they look in memory.

/// A value with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `REG_SZ`: text.
    Sz(String),
    /// `REG_EXPAND_SZ`: text with `%variables%`.
    ExpandSz(String),
    /// `REG_BINARY`: bytes.
    Binary(Vec<u8>),
    /// `REG_DWORD`: a 32-bit number.
    Dword(u32),
    /// `REG_MULTI_SZ`: several texts, none of them empty.
    MultiSz(Vec<String>),
}

impl Value {
    /// The type number.
    pub fn kind(&self) -> u32 {
        match self {
            Self::Sz(_) => 1,
            Self::ExpandSz(_) => 2,
            Self::Binary(_) => 3,
            Self::Dword(_) => 4,
            Self::MultiSz(_) => 7,
        }
    }

    /// The data as kernel routines return it: text in UTF-16 with its terminator.
    pub fn data(&self) -> Vec<u8> {
        match self {
            Self::Sz(text) | Self::ExpandSz(text) => bytes(utf16(text)),
            Self::Binary(bytes) => bytes.clone(),
            Self::Dword(number) => number.to_le_bytes().to_vec(),
            Self::MultiSz(texts) => {
                let list = texts.iter().flat_map(|text| utf16(text));
                bytes(list.chain([0]).collect())
            }
        }
    }

    /// The value that data of a type is; `None` for types that the registry does not keep here,
    /// and for data that is not of its type.
    pub fn from_data(kind: u32, data: &[u8]) -> Option<Self> {
        match kind {
            1 => Some(Self::Sz(text(data))),
            2 => Some(Self::ExpandSz(text(data))),
            3 => Some(Self::Binary(data.to_vec())),
            4 => Some(Self::Dword(u32::from_le_bytes(data.try_into().ok()?))),
            7 => {
                let all = text(data);
                let parts = all.split('\0').filter(|part| !part.is_empty());
                Some(Self::MultiSz(parts.map(str::to_owned).collect()))
            }
            _ => None,
        }
    }

    /// The text of a `REG_SZ` or `REG_EXPAND_SZ`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Sz(text) | Self::ExpandSz(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a `REG_DWORD`.
    pub fn as_number(&self) -> Option<u32> {
        match self {
            Self::Dword(number) => Some(*number),
            _ => None,
        }
    }
}

/// Text in UTF-16, zero-terminated.
pub fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Text without the terminators at its end.
fn text(data: &[u8]) -> String {
    let words = data
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text = String::from_utf16_lossy(&words.collect::<Vec<_>>());
    text.trim_end_matches('\0').to_owned()
}

fn bytes(words: Vec<u16>) -> Vec<u8> {
    words.into_iter().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_terminated_and_lists_twice() {
        assert_eq!(Value::Sz("ab".to_owned()).data(), [b'a', 0, b'b', 0, 0, 0]);
        let list = Value::MultiSz(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(list.data(), [b'a', 0, 0, 0, b'b', 0, 0, 0, 0, 0]);
        assert_eq!(Value::MultiSz(Vec::new()).data(), [0, 0]);
    }

    #[test]
    fn data_and_type_make_the_value_again() {
        let values = [
            Value::Sz("ab".to_owned()),
            Value::Dword(7),
            Value::Binary(vec![1, 2]),
            Value::MultiSz(vec!["a".to_owned(), "b".to_owned()]),
        ];
        for value in values {
            let made = Value::from_data(value.kind(), &value.data());
            assert_eq!(made, Some(value));
        }
        assert_eq!(Value::from_data(4, &[1, 2]), None);
    }
}
