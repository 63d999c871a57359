//! What travels beside the hidden state through one forward pass.

use std::collections::HashSet;

use burn::module::ParamId;
use burn::tensor::{Bool, Tensor};

use super::feed_forward::Routing;
use super::mixer::AttentionMask;

/// One forward pass: what sublayers share without knowing each other.
///
/// - **Residual.** A block puts its input into the context before it calls a sublayer. A sublayer whose last operation is
///   a linear layer takes it and adds it in the same kernel; a sublayer that leaves it gets it added by the block.
/// - **Mode.** Training may drop tokens and wants auxiliary losses; reading does neither.
/// - **KvCache.** While text is generated, each sublayer that looks back keeps what it has seen.
/// - **Padding.** Sequences of an encoder may be shorter than their tensor; what is not there is read by nobody.
///   It counts in the balance loss of experts.
/// - **EncoderStates.** What an encoder made of other text, for the sublayers that read it.
/// - **Capture.** A context that captures keeps the inputs of the linear layers that it was asked for.
#[derive(Debug, Default)]
pub struct ForwardContext {
    mode: Mode,
    residual: Option<Tensor<3>>,
    masks: Vec<CachedMask>,
    cache: Option<KvCache>,
    padding: Option<Tensor<2, Bool>>,
    encoder_states: Option<EncoderStates>,
    auxiliary: Option<Tensor<1>>,
    routings: Vec<Routing>,
    capture: Option<Capture>,
}

/// Whether a forward pass trains or only reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Measuring and generating: what one sequence gives does not depend on the sequences beside it.
    #[default]
    Eval,
    /// A step of the optimizer: full experts drop tokens, auxiliary losses are collected.
    Train,
}

/// What a linear layer was given.
#[derive(Debug, Clone)]
pub struct CapturedInput {
    /// The weight of the map.
    pub weight: ParamId,
    /// Maps that the weight stands for, `e`.
    pub n_experts: usize,
    /// `[b, t, d_in]`; `[e, c, d_in]` for several experts, with zeros where nobody reads the output.
    pub input: Tensor<3>,
}

/// What is listened to, and what was captured.
#[derive(Debug)]
struct Capture {
    weights: HashSet<ParamId>,
    captured: Vec<CapturedInput>,
}

/// Where the queries of one shape do not read.
#[derive(Debug)]
struct CachedMask {
    of: AttentionMask,
    shape: [usize; 2],
    hidden: Option<Tensor<2, Bool>>,
}

/// What a decoder reads beside its own sequence: the states that an encoder made of chunks of text, a set without order.
#[derive(Debug, Clone)]
pub struct EncoderStates {
    /// `[b, s, d_context]`.
    pub states: Tensor<3>,
    /// True where there is nothing to read, `[b, s]`.
    pub hidden: Tensor<2, Bool>,
}

/// What sublayers have kept from the positions before this call, in the order in which they ask.
#[derive(Debug, Default)]
struct KvCache {
    start: usize,
    next: usize,
    kept: Vec<Tensor<4>>,
}

impl ForwardContext {
    /// A context that reads whole sequences, from their first position on.
    pub fn new() -> Self {
        ForwardContext::default()
    }

    /// A context of a training step.
    pub fn training() -> Self {
        ForwardContext { mode: Mode::Train, ..ForwardContext::default() }
    }

    /// A context that goes on where its last call ended: keys and values of all earlier positions are kept.
    pub fn with_kv_cache() -> Self {
        ForwardContext { cache: Some(KvCache::default()), ..ForwardContext::default() }
    }

    /// The same context over sequences in which the keys marked in `hidden`, `[b, s]`, are not there.
    pub fn with_padding(self, hidden: Tensor<2, Bool>) -> Self {
        ForwardContext { padding: Some(hidden), ..self }
    }

    /// The same context with something to read beside the sequences.
    pub fn with_encoder_states(self, encoder_states: Option<EncoderStates>) -> Self {
        ForwardContext { encoder_states, ..self }
    }

    /// The keys that are not there, `[b, s]`.
    pub fn padding(&self) -> Option<Tensor<2, Bool>> {
        self.padding.clone()
    }

    /// What there is to read beside the sequences.
    pub fn encoder_states(&self) -> Option<EncoderStates> {
        self.encoder_states.clone()
    }

    /// A context that keeps the inputs of the linear layers with these weights.
    pub fn capturing(weights: HashSet<ParamId>) -> Self {
        ForwardContext {
            capture: Some(Capture { weights, captured: Vec::new() }),
            ..ForwardContext::default()
        }
    }

    /// A context for a part of a sublayer: it captures as this one does, and shares nothing else.
    pub fn apart(&self) -> Self {
        match &self.capture {
            Some(capture) => ForwardContext::capturing(capture.weights.clone()),
            None => ForwardContext::new(),
        }
    }

    /// Takes over what a context [`apart`](ForwardContext::apart) captured, with zeros in the rows that nobody reads.
    ///
    /// # Shapes
    /// `unread`: `[e, c, 1]`, as the inputs of the linear layers
    pub fn join(&mut self, apart: ForwardContext, unread: impl FnOnce() -> Tensor<3, Bool>) {
        let (Some(capture), Some(part)) = (&mut self.capture, apart.capture) else { return };
        if part.captured.is_empty() {
            return;
        }
        let unread = unread();
        capture.captured.extend(part.captured.into_iter().map(
            |CapturedInput { weight, n_experts, input }| {
                let hidden = unread.clone().expand(input.shape());
                CapturedInput { weight, n_experts, input: input.mask_fill(hidden, 0.0) }
            },
        ));
    }

    /// Keeps the input of the linear layer with this weight, of so many experts, if it was asked for.
    pub fn capture(&mut self, weight: ParamId, n_experts: usize, input: &Tensor<3>) {
        if let Some(capture) = self.capture.as_mut().filter(|capture| capture.weights.contains(&weight)) {
            capture.captured.push(CapturedInput { weight, n_experts, input: input.clone() });
        }
    }

    /// What was captured, in the order of the computation.
    pub fn take_captured(&mut self) -> Vec<CapturedInput> {
        self.capture.as_mut().map_or_else(Vec::new, |capture| std::mem::take(&mut capture.captured))
    }

    /// Whether the forward pass trains or only reads.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Offers the residual stream `[b, t, d]` to the sublayer that is called next.
    pub fn set_fused_residual(&mut self, x: Tensor<3>) {
        self.residual = Some(x);
    }

    /// Takes the residual stream, if it was offered and nobody took it yet.
    pub fn take_fused_residual(&mut self) -> Option<Tensor<3>> {
        self.residual.take()
    }

    /// The position of the first token of this call.
    pub fn start(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.start)
    }

    /// Whether earlier positions are kept.
    pub fn has_kv_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Appends `x` along time to what this place of the model has seen, and returns all of it; `x` itself in a context
    /// that has_kv_cache nothing.
    ///
    /// # Shapes
    /// `[b, g, t, k] -> [b, g, s, k]`, the last `t` of the `s` times are those of `x`.
    pub fn append_to_kv_cache(&mut self, x: Tensor<4>) -> Tensor<4> {
        let Some(cache) = &mut self.cache else { return x };
        let place = cache.next;
        cache.next += 1;
        if place == cache.kept.len() {
            cache.kept.push(x.clone());
            return x;
        }
        let all = Tensor::cat(vec![cache.kept[place].clone(), x], 2); // [b, g, s, k]
        cache.kept[place] = all.clone();
        all
    }

    /// Ends a call over `t` positions: one with a cache continues behind them.
    pub fn advance(&mut self, t: usize) {
        if let Some(cache) = &mut self.cache {
            cache.start += t;
            cache.next = 0;
            self.masks.clear();
        }
    }

    /// The mask of `mask` for `[t, s]` queries and keys, made by the first sublayer that asks for it.
    pub fn mask(
        &mut self,
        mask: AttentionMask,
        shape: [usize; 2],
        make: impl FnOnce() -> Option<Tensor<2, Bool>>,
    ) -> Option<Tensor<2, Bool>> {
        if let Some(made) = self.masks.iter().find(|made| made.of == mask && made.shape == shape) {
            return made.hidden.clone();
        }
        let hidden = make();
        self.masks.push(CachedMask { of: mask, shape, hidden: hidden.clone() });
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
