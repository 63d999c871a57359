//! One name per parameter: its field path without enum variants, for instance `blocks.3.feed_forward.up.weight`.
//!
//! Init, optimizer, checkpoints, exchange and reports all use these names, from this one place; Burn's own
//! identities never reach a file.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

/// Values and shapes by parameter name.
pub type Weights = BTreeMap<String, TensorData>;

/// Reads every parameter in module order.
pub trait Visit {
    /// Called once per parameter.
    fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>);
}

/// Replaces the value of every parameter in module order.
pub trait Map {
    /// The new value of the parameter.
    fn map<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D>;
}

/// Reads every parameter of `module` with its name.
pub fn visit<M: Module>(module: &M, visitor: &mut impl Visit) {
    module.visit(&mut Named { inner: visitor, path: Path::default() });
}

/// Replaces every parameter of `module`; each keeps its identity and whether it is trained.
pub fn map<M: Module>(module: M, mapper: &mut impl Map) -> M {
    module.map(&mut Named { inner: mapper, path: Path::default() })
}

/// Trains no parameter whose name is `frozen`, and every other.
pub fn freeze<M: Module>(module: M, frozen: impl Fn(&str) -> bool) -> M {
    struct Freeze<F>(F, Path);
    impl<F: Fn(&str) -> bool> ModuleMapper for Freeze<F> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.1.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.1.exit();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let trained = !(self.0)(&self.1.name());
            param.set_require_grad(trained)
        }
    }
    module.map(&mut Freeze(frozen, Path::default()))
}

/// The same values under identities of their own, so that an optimizer tells them from those of `module`.
pub fn renewed<M: Module>(module: M) -> M {
    struct Renew;
    impl ModuleMapper for Renew {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (_, value, mapper) = param.consume();
            Param::from_mapped_value(ParamId::new(), value, mapper)
        }
    }
    module.map(&mut Renew)
}

/// A module whose parameters are made from those of `module`: gradients pass through to them.
pub fn derive<M: Module>(module: M, mapper: &mut impl Map) -> M {
    module.map(&mut Derived { inner: mapper, path: Path::default() })
}

/// The names and shapes of all parameters, in module order.
pub fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    struct Shapes(Vec<(String, Vec<usize>)>);
    impl Visit for Shapes {
        fn visit<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            self.0.push((name.to_string(), param.val().dims().to_vec()));
        }
    }
    let mut shapes = Shapes(Vec::new());
    visit(module, &mut shapes);
    shapes.0
}

/// The field path so far; an enum's variant takes a place that has no name.
#[derive(Default)]
struct Path(Vec<Option<String>>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        let fields: Vec<&str> = self.0.iter().flatten().map(String::as_str).collect();
        fields.join(".")
    }
}

/// Burn's visitor with our names.
struct Named<'a, T> {
    inner: &'a mut T,
    path: Path,
}

impl<T: Visit> ModuleVisitor for Named<'_, T> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.inner.visit(&self.path.name(), param);
    }
}

impl<T: Map> ModuleMapper for Named<'_, T> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let trained = value.is_require_grad();
        let value = self.inner.map(&self.path.name(), value);
        let value = if trained { value.require_grad() } else { value };
        Param::from_mapped_value(id, value, mapper)
    }
}

/// Burn's mapper with our names, for values that stay part of the graph.
struct Derived<'a, T> {
    inner: &'a mut T,
    path: Path,
}

impl<T: Map> ModuleMapper for Derived<'_, T> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let value = self.inner.map(&self.path.name(), value);
        Param::from_mapped_value(id, value, mapper)
    }
}
