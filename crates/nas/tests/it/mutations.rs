//! Every edit yields a valid network with the same outputs.

use proptest::prelude::*;
use tinsmith_foundation::Seed;
use tinsmith_nas::Mutation;
use tinsmith_network::{ModelSpec, Op};

use crate::network;

#[test]
fn every_mutation_applies_somewhere() {
    for kind in Mutation::ALL {
        let found = (0..50).find_map(|i| kind.apply(&network(), &mut Seed::new(i).rng()));
        let changed = found.unwrap_or_else(|| panic!("{kind:?} never applies"));
        assert_ne!(changed, network(), "{kind:?}");
    }
}

fn apply(kind: Mutation) -> ModelSpec {
    (0..100).find_map(|i| kind.apply(&network(), &mut Seed::new(i).rng())).unwrap()
}

fn count(spec: &ModelSpec, wanted: impl Fn(&Op) -> bool) -> usize {
    spec.layers.iter().filter(|l| wanted(&l.op)).count()
}

#[test]
fn mutations_do_what_they_say() {
    let before = network();
    assert_eq!(apply(Mutation::Remove).layers.len(), before.layers.len() - 1);
    assert!(apply(Mutation::Insert).layers.len() > before.layers.len());
    assert_eq!(count(&apply(Mutation::Shortcut), |op| matches!(op, Op::Add(_))), 1);
    assert_eq!(count(&apply(Mutation::Separate), |op| matches!(op, Op::SeparableConv2d(_))), 1);
    assert_eq!(count(&apply(Mutation::Pool), |op| matches!(op, Op::MaxPool2d(_))), 2);
    assert_eq!(count(&apply(Mutation::Normalize), |op| matches!(op, Op::BatchNorm(_))), 2);
    assert_eq!(count(&apply(Mutation::Head), |op| matches!(op, Op::GlobalAveragePool2d(_))), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_mutations_keeps_the_outputs(seed in any::<u64>(), steps in 1..12_usize) {
        let mut rng = Seed::new(seed).rng();
        let mut spec = network();
        for _ in 0..steps {
            let kind = *rng.choose(&Mutation::ALL).unwrap();
            if let Some(changed) = kind.apply(&spec, &mut rng) {
                spec = changed;
            }
            let graph = spec.graph().unwrap();
            prop_assert_eq!(graph.shape(graph.outputs[0]), [5]);
        }
        // Networks survive a round trip.
        prop_assert_eq!(ModelSpec::parse(&spec.to_yaml().unwrap(), "again").unwrap(), spec);
    }
}
