//! Makes what strangers have put into a message's properties fit for lapin.
//!
//! - In a string that is not UTF-8, each byte that is not becomes `?`.
//! - A header whose value has a type that lapin does not know, is nested too deeply, or is broken, goes,
//!   and with it whatever follows it, if its end cannot be told.
//! - Of headers that are too large only RabbitMQ's own stay.
//! - Properties that do not fit their own frame all go.

use super::{END, HEAD};
use std::mem;
use std::ops::Range;

/// Where the properties' flags are in a header frame: after class, weight, and the body's size.
const FLAGS: usize = HEAD + 12;
/// Where a method's arguments are: after its class and its number.
const ARGUMENTS: usize = HEAD + 4;

/// Half of a frame at RabbitMQ's usual size, so that a worker can add its own and send them on.
const MOST_HEADERS: usize = 64 << 10;
/// RabbitMQ's own `x-death` has three.
const MOST_NESTED: u32 = 8;

/// The kinds of AMQP's properties, in the order of their flags from the highest.
const PROPERTIES: [Property; 14] = {
    use Property::{Octet, Text, Time};
    [
        Text,              // content-type
        Text,              // content-encoding
        Property::Headers, // headers
        Octet,             // delivery-mode
        Octet,             // priority
        Text,              // correlation-id
        Text,              // reply-to
        Text,              // expiration
        Text,              // message-id
        Time,              // timestamp
        Text,              // type
        Text,              // user-id
        Text,              // app-id
        Text,              // cluster-id
    ]
};

#[derive(Clone, Copy)]
enum Property {
    Text,
    Headers,
    Octet,
    Time,
}

/// Mends a whole header frame.
pub(super) fn header(frame: &mut Vec<u8>) {
    let Some(payload_end) = frame.len().checked_sub(END) else {
        return;
    };
    let Some((flags, properties)) = frame
        .get_mut(FLAGS..payload_end)
        .and_then(|rest| rest.split_at_mut_checked(2))
    else {
        return;
    };
    let flags = u16::from_be_bytes([flags[0], flags[1]]);
    let begin = FLAGS + 2;
    match mend_properties(flags, Rest(properties)) {
        Some(None) => return,
        Some(Some((table, kept))) => {
            let size = u32::try_from(kept.len()).unwrap_or(0).to_be_bytes();
            let table = begin + table.start..begin + table.end;
            frame.splice(table, size.into_iter().chain(kept));
        }
        None => {
            frame.splice(FLAGS..payload_end, [0, 0]);
        }
    }
    let payload = u32::try_from(frame.len() - HEAD - END).unwrap_or(0);
    frame[HEAD - 4..HEAD].copy_from_slice(&payload.to_be_bytes());
}

/// Mends a whole method frame: of those with a message, the exchange and the routing key, which whoever
/// published it has chosen.
pub(super) fn method(frame: &mut [u8]) {
    let Some(payload_end) = frame.len().checked_sub(END) else {
        return;
    };
    let Some((head, arguments)) = frame[..payload_end].split_at_mut_checked(ARGUMENTS) else {
        return;
    };
    let mut rest = Rest(arguments);
    // `None` is a frame that is too short, which lapin will tell.
    let _ = match head[HEAD..] {
        // basic.deliver: a tag of ours comes first.
        [0, 60, 0, 60] => rest.mend_text().and_then(|()| mend_origin(rest)),
        // basic.get-ok
        [0, 60, 0, 71] => mend_origin(rest),
        _ => None,
    };
}

/// After the delivery's number, and whether it is another try.
fn mend_origin(mut rest: Rest<'_>) -> Option<()> {
    rest.split(9)?;
    rest.mend_text()?;
    rest.mend_text()
}

/// Where the table of headers is, with its length, and what is to stand there.
type Replaced = Option<(Range<usize>, Vec<u8>)>;

/// Mends properties in their place; `None` if they are not what their flags announce.
fn mend_properties(flags: u16, mut rest: Rest<'_>) -> Option<Replaced> {
    let all = rest.len();
    let mut replaced = None;
    for (bit, property) in (0..16).rev().zip(PROPERTIES) {
        if flags >> bit & 1 == 0 {
            continue;
        }
        match property {
            Property::Text => rest.mend_text()?,
            Property::Octet => drop(rest.split(1)?),
            Property::Time => drop(rest.split(8)?),
            Property::Headers => {
                let begin = all - rest.len();
                let table = rest.split_long()?;
                replaced = mend_headers(table).map(|kept| (begin..all - rest.len(), kept));
            }
        }
    }
    // Neither more flags, nor more than they announce.
    (flags.trailing_zeros() >= 2 && rest.is_empty()).then_some(replaced)
}

/// Mends headers in their place; what remains of them, where not all can.
fn mend_headers(table: &mut [u8]) -> Option<Vec<u8>> {
    let all = table.len();
    let mut rest = Rest(table);
    let (mut kept, mut begin) = (Vec::new(), 0);
    while !rest.is_empty() {
        let is_brokers_own = rest.0.get(1..3) == Some(b"x-");
        let Some(fits) = rest.mend_text().and_then(|()| rest.mend_value(0)) else {
            break;
        };
        let end = all - rest.len();
        if fits && (all <= MOST_HEADERS || is_brokers_own) {
            kept.push(begin..end);
        }
        begin = end;
    }
    let size: usize = kept.iter().map(Range::len).sum();
    if size > MOST_HEADERS {
        return Some(Vec::new());
    }
    if size == all {
        return None;
    }
    let kept = kept.into_iter().flat_map(|header| &table[header]);
    Some(kept.copied().collect())
}

/// What is yet to be mended, from the left.
struct Rest<'f>(&'f mut [u8]);

impl<'f> Rest<'f> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Mends the keys in a value; `false` if lapin cannot read it, `None` if not even its end can be
    /// told.
    fn mend_value(&mut self, nested: u32) -> Option<bool> {
        let kind = self.split(1)?[0];
        let size = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' | b'U' => 2,
            b'i' | b'I' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' => return self.split_long().map(|_| true),
            b'A' | b'F' => {
                let inside = Rest(self.split_long()?);
                let fits = nested < MOST_NESTED && inside.mend_values(kind == b'F', nested + 1);
                return Some(fits);
            }
            _ => return None,
        };
        self.split(size).map(|_| true)
    }

    /// The same for all that is in a table, with keys, or in an array.
    fn mend_values(mut self, keys: bool, nested: u32) -> bool {
        while !self.is_empty() {
            if keys && self.mend_text().is_none() || self.mend_value(nested) != Some(true) {
                return false;
            }
        }
        true
    }

    fn mend_text(&mut self) -> Option<()> {
        let len = self.split(1)?[0];
        let mut text = self.split(len.into())?;
        while let Err(error) = std::str::from_utf8(text) {
            let (_, bad) = text.split_at_mut(error.valid_up_to());
            let (first, others) = bad.split_first_mut()?;
            *first = b'?';
            text = others;
        }
        Some(())
    }

    /// What a length of four bytes stands before.
    fn split_long(&mut self) -> Option<&'f mut [u8]> {
        let len = self.split(4)?;
        let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]);
        self.split(usize::try_from(len).ok()?)
    }

    /// The first bytes; `None` if there are fewer.
    fn split(&mut self, bytes: usize) -> Option<&'f mut [u8]> {
        let (first, others) = mem::take(&mut self.0).split_at_mut_checked(bytes)?;
        self.0 = others;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::basic::parse_properties;
    use proptest::prelude::*;

    const HEADERS: u16 = 1 << 13;
    const MESSAGE_ID: u16 = 1 << 7;

    fn long(bytes: &[u8]) -> Vec<u8> {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&len, bytes].concat()
    }

    fn entry(key: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
        let len = u8::try_from(key.len()).unwrap();
        [&[len], key, &[kind], value].concat()
    }

    fn frame(flags: u16, properties: &[u8]) -> Vec<u8> {
        let before = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let payload = [&before, &flags.to_be_bytes()[..], properties].concat();
        [&[2, 0, 1], &*long(&payload), &[0xCE]].concat()
    }

    /// These headers, mended, and the id that follows them.
    fn mended(table: &[u8]) -> Vec<u8> {
        let with = |table: &[u8]| frame(HEADERS | MESSAGE_ID, &[&*long(table), b"\x02id"].concat());
        let mut frame = with(table);
        header(&mut frame);
        let payload = &frame[FLAGS..frame.len() - 1];
        let (rest, _) = parse_properties(payload).expect("lapin reads it");
        assert!(rest.is_empty());
        let len = payload.len() - 2 - 4 - 3;
        let table = payload[6..6 + len].to_vec();
        assert_eq!(frame, with(&table));
        table
    }

    /// Tables in tables.
    fn nested(depth: u32) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inside, _| entry(b"n", b'F', &long(&inside)))
    }

    #[test]
    fn headers_that_lapin_reads_stay_as_they_are() {
        let all = [
            entry(b"x-delivery-count", b'l', &[0; 8]),
            entry("é".as_bytes(), b'S', &long(&[0xFF; 300])),
            entry(b"", b'V', b""),
            entry(b"d", b'D', &[1; 5]),
            entry(b"a", b'A', &long(b"t\x01b\xFFs\0\x01I\0\0\0\x01")),
            nested(MOST_NESTED),
        ]
        .concat();
        assert_eq!(mended(&all), all);
        assert_eq!(mended(b""), b"");
    }

    #[test]
    fn a_header_that_lapin_cannot_read_goes_alone_where_its_end_can_be_told() {
        let [one, two] = [entry(b"one", b't', b"\x01"), entry(b"two", b't', b"\0")];
        let around = |bad: Vec<u8>| mended(&[&*one, &bad, &two].concat());
        let both = [&*one, &two].concat();
        for depth in [MOST_NESTED + 1, 5_000] {
            assert_eq!(around(nested(depth)), both, "{depth}");
        }
        assert_eq!(around(entry(b"bad", b'F', &long(b"\x09cut off"))), both);
        assert_eq!(around(entry(b"bad", b'A', &long(b"?"))), both);
        // Nobody knows how long these are.
        assert_eq!(around(entry(b"bad", b'?', b"")), one);
        assert_eq!(around(entry(b"bad", b'S', &[0xFF; 4])), one);
        let named = |key: &[u8]| entry(key, b'F', &long(&entry(key, b't', b"\x01")));
        assert_eq!(mended(&named(b"\xE9t\xE9")), named(b"?t?"));
    }

    #[test]
    fn of_too_many_headers_the_brokers_own_stay() {
        let count = entry(b"x-delivery-count", b'l', &[0; 8]);
        let large = entry(b"large", b'S', &long(&vec![b'a'; MOST_HEADERS]));
        assert_eq!(mended(&[&*large, &count, &large].concat()), count);
        let own = entry(b"x-large", b'S', &long(&vec![b'a'; MOST_HEADERS]));
        assert_eq!(mended(&[&*count, &own].concat()), b"");
    }

    #[test]
    fn properties_that_are_not_what_they_announce_all_go() {
        let none = frame(0, b"");
        for (flags, properties) in [
            (MESSAGE_ID, &b"\x09short"[..]),
            (MESSAGE_ID, b"\x02id and more"),
            (MESSAGE_ID | 1, b"\x02id"),
            (HEADERS, b"\0\0\0\x09"),
        ] {
            let mut broken = frame(flags, properties);
            header(&mut broken);
            assert_eq!(broken, none, "{properties:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_lapin_reads_what_is_left(
            flags: u16,
            properties in prop::collection::vec(any::<u8>(), 0..200),
            table in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..4), "[tbBsIlfdDSxAFTVz]", any::<[u8; 8]>()),
                0..6,
            ),
        ) {
            let table: Vec<u8> = table
                .into_iter()
                .flat_map(|(key, kind, value)| entry(&key, kind.as_bytes()[0], &value))
                .collect();
            let some = [&*long(&table), &properties].concat();
            for (flags, properties) in [(flags, properties), (HEADERS, long(&table)), (HEADERS | flags & 0x1F00, some)] {
                let mut frame = frame(flags, &properties);
                header(&mut frame);
                let payload = frame.len() - HEAD - END;
                prop_assert_eq!(&frame[3..7], &u32::try_from(payload).unwrap().to_be_bytes());
                let read = parse_properties(&frame[FLAGS..frame.len() - END]);
                prop_assert!(read.is_ok_and(|(rest, _)| rest.is_empty()));
            }
        }
    }
}
