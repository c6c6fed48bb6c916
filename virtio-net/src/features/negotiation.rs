//! What is accepted of what is offered.

use super::Features;
use super::table::{Feature, Interface, TABLE, Wish};

/// A required feature is not to be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lacking {
    /// Its name in [`TABLE`].
    pub name: &'static str,
}

/// Chooses from `offered` by [`TABLE`], for a device of virtio 1.0 or later.
///
/// `mask` is what the driver can use: of the rows that are not required, only those in it are
/// accepted. [`DEFAULT`](super::DEFAULT) has what the table wants by itself. A bit whose needs are
/// not met is left out, and so is what needs it in turn.
///
/// # Errors
///
/// Names the first required feature that is not offered or whose needs are not met.
pub fn negotiate(offered: Features, mask: Features) -> Result<Features, Lacking> {
    negotiate_for(Interface::Modern, offered, mask)
}

/// [`negotiate`] for either interface.
///
/// The legacy one has 32 bits, of which none is required.
///
/// # Errors
///
/// Those of [`negotiate`].
pub fn negotiate_for(
    interface: Interface,
    offered: Features,
    mask: Features,
) -> Result<Features, Lacking> {
    let visible = match interface {
        Interface::Modern => offered,
        Interface::Legacy => Features::from_word(0, offered.word(0)),
    };
    choose(TABLE, interface, visible, mask)
}

fn choose(
    table: &[Feature],
    interface: Interface,
    offered: Features,
    mask: Features,
) -> Result<Features, Lacking> {
    let here = || {
        let exists = |row: &&Feature| row.interface.is_none_or(|only| only == interface);
        table.iter().filter(exists)
    };
    let wished = here().fold(Features::NONE, |bits, row| match row.wish {
        Wish::Required => bits | row.bit,
        Wish::Wanted | Wish::OnRequest => bits | (row.bit & mask),
        Wish::Never => bits,
    });
    let mut accepted = wished & offered;
    // Each round but the last drops a row, so this ends after at most as many rounds as rows.
    for _ in table {
        let unmet = here()
            .filter(|row| accepted.contains(row.bit) && !row.is_met_by(accepted))
            .fold(Features::NONE, |bits, row| bits | row.bit);
        if unmet.is_empty() {
            break;
        }
        accepted = accepted.without(unmet);
    }

    let missing = |row: &&Feature| row.wish == Wish::Required && !accepted.contains(row.bit);
    match here().find(missing) {
        Some(row) => Err(Lacking { name: row.name }),
        None => Ok(accepted),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::table::{DEFAULT, Part};
    use super::*;

    const A: Features = Features::from_bits(1);
    const B: Features = Features::from_bits(1 << 64);
    const C: Features = Features::from_bits(1 << 127);
    const NONE: Features = Features::NONE;
    const MODERN: Interface = Interface::Modern;

    fn row(name: &'static str, bit: Features, wish: Wish, needs: Features) -> Feature {
        Feature {
            bit,
            name,
            wish,
            interface: None,
            part: Part::Device,
            needs,
            needs_one_of: NONE,
            brings: name,
        }
    }

    #[test]
    fn a_device_that_offers_everything_gets_the_default() {
        assert_eq!(
            negotiate(Features::ALL, DEFAULT),
            Ok(DEFAULT.without(Features::ANY_LAYOUT))
        );
        let bits = [3, 5, 15, 16, 28, 29, 32, 33, 62];
        let slice = bits.iter().fold(0_u128, |set, bit| set | 1 << bit);
        let slice = Features::from_bits(slice);
        assert_eq!(negotiate(Features::ALL, slice), Ok(slice));
    }

    #[test]
    fn what_is_on_request_is_accepted_when_it_is_asked_for() {
        let asked = Features::union_of(&[DEFAULT, Features::CTRL_VLAN, Features::RING_PACKED]);
        let accepted = negotiate(Features::ALL, asked).unwrap();
        assert_eq!(accepted, asked.without(Features::ANY_LAYOUT));
    }

    #[test]
    fn what_is_refused_is_never_accepted() {
        let accepted = negotiate(Features::ALL, Features::ALL).unwrap();
        let refused = TABLE.iter().filter(|row| row.wish == Wish::Never);
        assert_eq!(refused.filter(|row| accepted.contains(row.bit)).count(), 0);
        assert_eq!(accepted.bits() >> 64, 0);
    }

    #[test]
    fn a_mask_drops_wishes_but_not_requirements() {
        let accepted = negotiate(Features::ALL, Features::MAC).unwrap();
        assert_eq!(accepted, Features::MAC | Features::VERSION_1);
    }

    #[test]
    fn the_modern_interface_is_required_where_it_is_spoken() {
        let offered = Features::ALL.without(Features::VERSION_1);
        let refusal = negotiate(offered, Features::ALL);
        assert_eq!(refusal, Err(Lacking { name: "VERSION_1" }));
        let legacy = negotiate_for(Interface::Legacy, Features::ALL, Features::ALL).unwrap();
        assert_eq!(legacy.bits() >> 32, 0);
        assert!(legacy.contains(Features::ANY_LAYOUT | Features::MAC | Features::CTRL_VQ));
        let traps =
            Features::union_of(&[Features::UNUSED, Features::GSO, Features::NOTIFY_ON_EMPTY]);
        assert!(!legacy.intersects(traps));
        assert_eq!(
            negotiate_for(Interface::Legacy, NONE, Features::ALL),
            Ok(NONE)
        );
    }

    #[test]
    fn standby_without_an_address_is_left_out() {
        let offered = Features::VERSION_1 | Features::STANDBY;
        assert_eq!(negotiate(offered, Features::ALL), Ok(Features::VERSION_1));
    }

    #[test]
    fn dropping_a_bit_drops_what_needs_it_in_turn() {
        let table = [
            row("C", C, Wish::Wanted, B),
            row("B", B, Wish::Wanted, A),
            row("A", A, Wish::Wanted, NONE),
        ];
        assert_eq!(choose(&table, MODERN, B | C, Features::ALL), Ok(NONE));
        let all = A | B | C;
        assert_eq!(choose(&table, MODERN, all, Features::ALL), Ok(all));
    }

    #[test]
    fn one_of_several_needs_is_enough_and_none_is_not() {
        let table = [
            row("A", A, Wish::Wanted, NONE),
            row("B", B, Wish::Wanted, NONE),
            Feature {
                needs_one_of: A | B,
                ..row("C", C, Wish::Wanted, NONE)
            },
        ];
        for offered in [A | C, B | C, A | B | C] {
            assert_eq!(choose(&table, MODERN, offered, Features::ALL), Ok(offered));
        }
        assert_eq!(choose(&table, MODERN, C, Features::ALL), Ok(NONE));
    }

    #[test]
    fn a_required_bit_with_unmet_needs_is_lacking() {
        let table = [
            row("B", B, Wish::Required, A),
            row("A", A, Wish::Wanted, NONE),
        ];
        let lacking = Err(Lacking { name: "B" });
        assert_eq!(choose(&table, MODERN, A | B, NONE), lacking);
    }

    /// The needs of this table that the specification's own list does not have.
    fn are_more_needs_met(accepted: Features) -> bool {
        let needs = [
            (Features::STANDBY, Features::MAC),
            (Features::CTRL_GUEST_OFFLOADS, Features::CTRL_VQ),
            (Features::DEVICE_STATS, Features::CTRL_VQ),
            (Features::GUEST_ANNOUNCE, Features::STATUS),
        ];
        let unmet = |(bit, need): &(Features, Features)| {
            accepted.contains(*bit) && !accepted.contains(*need)
        };
        !needs.iter().any(unmet)
    }

    /// Whether the definitions crate, which has the needs as code of its own, agrees.
    fn are_needs_met(accepted: Features) -> bool {
        use virtio_spec::FeatureBits;
        let set =
            virtio_spec::net::F::from_bits_retain(virtio_spec::le128::from_ne(accepted.bits()));
        let as_specified = set.requirements_satisfied() && set.recommendations_satisfied();
        as_specified && are_more_needs_met(accepted)
    }

    #[cfg(not(miri))]
    proptest::proptest! {
        #[test]
        fn needs_are_those_of_the_specification(offered: u128, mask: u128, sparse: u128) {
            // Every row is wished for here, so that the needs of refused ones count, too.
            let rows = TABLE.iter().map(|row| Feature { wish: Wish::OnRequest, ..*row });
            let table: Vec<_> = rows.collect();
            for offered in [offered | sparse, offered, offered & sparse] {
                let mask = Features::from_bits(mask | !sparse);
                let offered = Features::from_bits(offered);
                let accepted = choose(&table, MODERN, offered, mask).unwrap();
                assert!((offered & mask).contains(accepted));
                assert!(are_needs_met(accepted), "{accepted:?}");
                // Nothing was dropped that could have stayed.
                for row in &table {
                    let could = row.interface != Some(Interface::Legacy);
                    let dropped = (offered & mask).contains(row.bit) && !accepted.contains(row.bit);
                    if could && dropped {
                        assert!(!are_needs_met(accepted | row.bit), "{}", row.name);
                    }
                }
            }
        }
    }
}
