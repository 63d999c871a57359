//! What travels beside the hidden state through one forward pass.

use std::collections::HashSet;

use burn::module::ParamId;
use burn::tensor::{Bool, Tensor};

use super::feed_forward::Routing;
use super::mixer::Reach;

/// One forward pass: what sublayers share without knowing each other.
///
/// - **Residual.** A block puts its input into the pass before it calls a sublayer. A sublayer whose last operation is
///   a linear map takes it and adds it in the same kernel; a sublayer that leaves it gets it added by the block.
/// - **Purpose.** Training may drop tokens and wants auxiliary losses; reading does neither.
/// - **Memory.** While text is generated, each sublayer that looks back keeps what it has seen.
/// - **Padding.** Rows of an encoder may be shorter than their tensor; what is not there is read by nobody.
///   It counts in the balance loss of experts.
/// - **Context.** What an encoder made of other text, for the sublayers that read it.
/// - **Tap.** A pass that listens keeps the inputs of the linear maps that it was asked for.
#[derive(Debug, Default)]
pub struct Pass {
    purpose: Purpose,
    residual: Option<Tensor<3>>,
    masks: Vec<Mask>,
    memory: Option<Memory>,
    padding: Option<Tensor<2, Bool>>,
    context: Option<Context>,
    auxiliary: Option<Tensor<1>>,
    routings: Vec<Routing>,
    tap: Option<Tap>,
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Measuring and generating: what one row gives does not depend on the rows beside it.
    #[default]
    Reading,
    /// A step of the optimizer: full experts drop tokens, auxiliary losses are collected.
    Training,
}

/// What a linear map was given.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The weight of the map.
    pub weight: ParamId,
    /// Maps that the weight stands for, `e`.
    pub copies: usize,
    /// `[b, t, d_in]`; `[e, c, d_in]` for several maps, with zeros where nobody reads the output.
    pub input: Tensor<3>,
}

/// What is listened to, and what was heard.
#[derive(Debug)]
struct Tap {
    weights: HashSet<ParamId>,
    heard: Vec<Heard>,
}

/// Where the queries of one shape do not read.
#[derive(Debug)]
struct Mask {
    reach: Reach,
    shape: [usize; 2],
    hidden: Option<Tensor<2, Bool>>,
}

/// What a decoder reads beside its own row: the states that an encoder made of chunks of text, a set without order.
#[derive(Debug, Clone)]
pub struct Context {
    /// `[b, s, d_context]`.
    pub states: Tensor<3>,
    /// True where there is nothing to read, `[b, s]`.
    pub hidden: Tensor<2, Bool>,
}

/// What sublayers have kept from the positions before this call, in the order in which they ask.
#[derive(Debug, Default)]
struct Memory {
    start: usize,
    next: usize,
    kept: Vec<Tensor<4>>,
}

impl Pass {
    /// A pass that reads whole rows, from their first position on.
    pub fn new() -> Self {
        Pass::default()
    }

    /// A pass of a training step.
    pub fn training() -> Self {
        Pass { purpose: Purpose::Training, ..Pass::default() }
    }

    /// A pass that goes on where its last call ended: keys and values of all earlier positions are kept.
    pub fn remembering() -> Self {
        Pass { memory: Some(Memory::default()), ..Pass::default() }
    }

    /// The same pass over rows in which the keys marked in `hidden`, `[b, s]`, are not there.
    pub fn with_padding(self, hidden: Tensor<2, Bool>) -> Self {
        Pass { padding: Some(hidden), ..self }
    }

    /// The same pass with something to read beside the rows.
    pub fn with_context(self, context: Option<Context>) -> Self {
        Pass { context, ..self }
    }

    /// The keys that are not there, `[b, s]`.
    pub fn padding(&self) -> Option<Tensor<2, Bool>> {
        self.padding.clone()
    }

    /// What there is to read beside the rows.
    pub fn context(&self) -> Option<Context> {
        self.context.clone()
    }

    /// A pass that keeps the inputs of the linear maps with these weights.
    pub fn listening(weights: HashSet<ParamId>) -> Self {
        Pass { tap: Some(Tap { weights, heard: Vec::new() }), ..Pass::default() }
    }

    /// A pass for a part of a sublayer: it listens as this one does, and shares nothing else.
    pub fn apart(&self) -> Self {
        match &self.tap {
            Some(tap) => Pass::listening(tap.weights.clone()),
            None => Pass::new(),
        }
    }

    /// Takes over what a pass [`apart`](Pass::apart) heard, with zeros in the rows that nobody reads.
    ///
    /// # Shapes
    /// `unread`: `[e, c, 1]`, as the inputs of the maps
    pub fn join(&mut self, apart: Pass, unread: impl FnOnce() -> Tensor<3, Bool>) {
        let (Some(tap), Some(part)) = (&mut self.tap, apart.tap) else { return };
        if part.heard.is_empty() {
            return;
        }
        let unread = unread();
        tap.heard.extend(part.heard.into_iter().map(|Heard { weight, copies, input }| {
            let hidden = unread.clone().expand(input.shape());
            Heard { weight, copies, input: input.mask_fill(hidden, 0.0) }
        }));
    }

    /// A linear map in so many copies says what it is given.
    pub fn hear(&mut self, weight: ParamId, copies: usize, input: &Tensor<3>) {
        if let Some(tap) = self.tap.as_mut().filter(|tap| tap.weights.contains(&weight)) {
            tap.heard.push(Heard { weight, copies, input: input.clone() });
        }
    }

    /// What was heard, in the order of the computation.
    pub fn take_heard(&mut self) -> Vec<Heard> {
        self.tap.as_mut().map_or_else(Vec::new, |tap| std::mem::take(&mut tap.heard))
    }

    /// What the pass is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Offers the residual stream `[b, t, d]` to the sublayer that is called next.
    pub fn offer_residual(&mut self, x: Tensor<3>) {
        self.residual = Some(x);
    }

    /// Takes the residual stream, if it was offered and nobody took it yet.
    pub fn take_residual(&mut self) -> Option<Tensor<3>> {
        self.residual.take()
    }

    /// The position of the first token of this call.
    pub fn start(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.start)
    }

    /// Whether earlier positions are kept.
    pub fn remembers(&self) -> bool {
        self.memory.is_some()
    }

    /// Appends `x` along time to what this place of the model has seen, and returns all of it; `x` itself in a pass
    /// that remembers nothing.
    ///
    /// # Shapes
    /// `[b, g, t, k] -> [b, g, s, k]`, the last `t` of the `s` times are those of `x`.
    pub fn remember(&mut self, x: Tensor<4>) -> Tensor<4> {
        let Some(memory) = &mut self.memory else { return x };
        let place = memory.next;
        memory.next += 1;
        if place == memory.kept.len() {
            memory.kept.push(x.clone());
            return x;
        }
        let all = Tensor::cat(vec![memory.kept[place].clone(), x], 2); // [b, g, s, k]
        memory.kept[place] = all.clone();
        all
    }

    /// Ends a call over `t` positions: a pass that remembers continues behind them.
    pub fn advance(&mut self, t: usize) {
        if let Some(memory) = &mut self.memory {
            memory.start += t;
            memory.next = 0;
            self.masks.clear();
        }
    }

    /// The mask of `reach` for `[t, s]` queries and keys, made by the first sublayer that asks for it.
    pub fn mask(
        &mut self,
        reach: Reach,
        shape: [usize; 2],
        make: impl FnOnce() -> Option<Tensor<2, Bool>>,
    ) -> Option<Tensor<2, Bool>> {
        if let Some(mask) = self.masks.iter().find(|mask| mask.reach == reach && mask.shape == shape) {
            return mask.hidden.clone();
        }
        let hidden = make();
        self.masks.push(Mask { reach, shape, hidden: hidden.clone() });
        hidden
    }

    /// Adds to the loss of the step, `[1]`.
    pub fn add_auxiliary(&mut self, loss: Tensor<1>) {
        self.auxiliary = Some(match self.auxiliary.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
    }

    /// The sum of all auxiliary losses `[1]`, to be added to the loss of the step; none if nobody had any.
    pub fn take_auxiliary(&mut self) -> Option<Tensor<1>> {
        self.auxiliary.take()
    }

    /// Notes where a mixture of experts has sent its tokens.
    pub fn add_routing(&mut self, routing: Routing) {
        self.routings.push(routing);
    }

    /// Where tokens were sent, one entry per mixture of experts, in order of depth.
    pub fn take_routings(&mut self) -> Vec<Routing> {
        std::mem::take(&mut self.routings)
    }
}
