//! Which components can be bound to which: the ranges of their edges.

/// A component, as far as binding goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges {
    /// Interfaces that it offers to those above.
    pub(crate) upper: Vec<String>,
    /// Interfaces that it can stand on.
    pub(crate) lower: Vec<String>,
    /// Nothing goes below an adapter.
    pub(crate) is_adapter: bool,
}

/// The interface by which `above` can stand on `below`.
pub(crate) fn meet(above: &Edges, below: &Edges) -> Option<String> {
    let offered = |token: &&String| {
        !token.eq_ignore_ascii_case("noupper")
            && below
                .upper
                .iter()
                .any(|other| other.eq_ignore_ascii_case(token))
    };
    above.lower.iter().find(offered).cloned()
}

/// All chains from a component that is no adapter down to an adapter, as places in `all`.
#[cfg_attr(
    not(windows),
    allow(dead_code, reason = "the COM edge is Windows-only")
)]
pub(crate) fn chains(all: &[Edges]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for (index, edges) in all.iter().enumerate() {
        if !edges.is_adapter {
            descend(all, &mut vec![index], &mut found);
        }
    }
    found
}

fn descend(all: &[Edges], chain: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let Some(bottom) = chain.last().and_then(|last| all.get(*last)) else {
        return;
    };
    if bottom.is_adapter {
        found.push(chain.clone());
        return;
    }
    for (index, below) in all.iter().enumerate() {
        if !chain.contains(&index) && meet(bottom, below).is_some() {
            chain.push(index);
            descend(all, chain, found);
            chain.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(upper: &str, lower: &str, is_adapter: bool) -> Edges {
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        Edges {
            upper: list(upper),
            lower: list(lower),
            is_adapter,
        }
    }

    #[test]
    fn a_client_reaches_the_adapter_through_the_protocol() {
        let all = [
            edges("noupper", "netbios", false),
            edges("netbios", "ndis5,ndis4", false),
            edges("ndis5", "ethernet", true),
            edges("NDIS5", "ethernet", true),
        ];
        assert_eq!(
            chains(&all),
            [vec![0, 1, 2], vec![0, 1, 3], vec![1, 2], vec![1, 3]]
        );
    }

    #[test]
    fn no_upper_edge_means_nothing_above() {
        let all = [
            edges("noupper", "noupper", false),
            edges("noupper", "ndis5", false),
        ];
        assert!(chains(&all).is_empty());
    }

    #[test]
    fn components_that_stand_on_each_other_end() {
        let all = [edges("a", "b", false), edges("b", "a", false)];
        assert!(chains(&all).is_empty());
    }
}
