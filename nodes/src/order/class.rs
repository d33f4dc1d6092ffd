use super::among::Among;
use crate::prelude::*;

/// The class of a permutation, for order prediction: its place among all permutations in lexicographic order (the identity is 0;
/// VCOP), or in a list.
#[kind("order/class", inputs = In, outputs = Out, source = "VCOP (Xu et al. 2019), section 3.1; OPN (Lee et al. 2017)")]
pub struct Class {
    /// "all", or the permutations that there are, in the order of their classes: `[[0, 1, 2], [1, 0, 2]]`. One that is
    /// not listed stops the run.
    among: Among,
    /// Whether a permutation and its reverse are one class (OPN: what runs backwards looks alike). Of the two, "all" counts the one
    /// whose first item is below its last, and a list may hold either.
    undirected: bool,
}

#[derive(Ports)]
pub struct In<P: Plane> {
    /// `N` a permutation: each of 0..N once
    order: P::Index,
}

#[derive(Ports)]
pub struct Out<P: Plane> {
    /// its class, from 0
    class: P::Index,
}

impl Kind for Class {
    fn check(&self, faults: &mut SettingFaults) {
        if let Err(message) = self.among.check(self.undirected) {
            faults.add("among", message);
        }
    }
    fn ports(&self, inputs: In<Shapes>) -> Result<Out<Shapes>, PortFault> {
        let items = length(&inputs.order, "order", 0)?;
        let classes = self.among.classes(items, self.undirected).map_err(|m| PortFault::port("order", m))?;
        Ok(Out { class: Port::index([]).with_range(classes.into()) })
    }
}

impl Class {
    fn class(&self, order: &[i64]) -> Result<i64> {
        let class = self.among.class(order, self.undirected);
        class.map(|class| class as i64).ok_or_else(|| anyhow!("{order:?} is none of the permutations that have a class"))
    }
}

impl SampleKind for Class {
    fn run(&self, inputs: In<Host>, _: Nothing<Row>) -> Result<Out<Host>> {
        Ok(Out { class: Array::scalar(self.class(&inputs.order.data)?) })
    }
}

impl BatchKind for Class {
    fn run(&self, inputs: In<Batch>, _: &Cx<Self>) -> Result<Out<Batch>> {
        let flat = Vec::<i64>::try_from(inputs.order.to_device(Device::Cpu).flatten(0, -1))?;
        let items = inputs.order.size()[1].max(1) as usize;
        let classes = flat.chunks(items).map(|o| self.class(o)).collect::<Result<Vec<i64>>>()?;
        Ok(Out { class: Tensor::from_slice(&classes).to_device(inputs.order.device()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use dv_graph::host::Value;

    #[test]
    fn host_and_device_give_the_same_class() {
        let kind: Class = testing::kind("among = 'all'\nundirected = false");
        let orders = [[0i64, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let device = testing::run(&kind, 6, vec![("order", Tensor::from_slice2(&orders))]);
        assert_eq!(Vec::<i64>::try_from(device.tensor("class")).unwrap(), [0, 1, 2, 3, 4, 5]);
        for (class, order) in orders.iter().enumerate() {
            let host = testing::run_host(&kind, 0, &[("order", Value::Index(Array::new(vec![3], order.to_vec())))]);
            assert_eq!(testing::host_index(&host["class"]), [class as i64]);
        }
    }

    #[test]
    fn the_range_is_known_and_lists_are_checked() {
        let ports = |settings: &str, items: usize| {
            let order = Port::index([items.into()]);
            testing::shapes(&testing::kind::<Class>(settings), vec![("order", order)])
        };
        assert_eq!(ports("among = 'all'\nundirected = true", 4).unwrap()[0].range, Some(12.into()));
        assert_eq!(ports("among = [[0, 1, 2], [2, 1, 0]]\nundirected = false", 3).unwrap()[0].range, Some(2.into()));
        assert!(ports("among = [[0, 1, 2]]\nundirected = false", 4).unwrap_err().message.contains('3'));
        for list in ["[]", "[[0, 0]]", "[[0, 1], [0, 1]]", "[[0, 1], [0, 1, 2]]", "'some'"] {
            assert_eq!(testing::faults::<Class>(&format!("among = {list}\nundirected = false")).len(), 1, "{list}");
        }
        assert_eq!(testing::faults::<Class>("among = [[0, 1, 2], [2, 1, 0]]\nundirected = true").len(), 1);
    }
}
