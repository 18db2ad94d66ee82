"""The weights of a Spleeter model as the compiled networks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemline.models.catalogue import Activation, Model
from stemline.models.layer_weights import LAYERS, LayerWeights
from stemline.separation.native.unet import Layer, Weights

if TYPE_CHECKING:
    from stemline.models.layer_weights import Tensors

#: Activations of encoder and decoder that the compiled networks have, and whether they are ELU.
_IS_ELU = {(Activation.LEAKY_RELU, Activation.RELU): False, (Activation.ELU, Activation.ELU): True}


def native_weights(model: Model, tensors: Tensors) -> list[Weights]:
    """Return the weights of each instrument's network, which are not copied.

    Raises:
        WeightsCorrupt: A tensor is missing.
    """
    weights = LayerWeights(tensors)
    is_elu = _IS_ELU[model.encoder, model.decoder]
    return [_network(weights, number, is_elu=is_elu) for number in range(len(model.instruments))]


def _network(weights: LayerWeights, number: int, *, is_elu: bool) -> Weights:
    """Return the weights of one network; see `graph.add_masks` for the order of the layers."""
    convolution = number * (LAYERS + 1)
    normalisation = number * 2 * LAYERS
    down = [
        Layer(*weights.layer("conv2d", convolution + layer), *weights.scale_and_shift(normalisation + layer))
        for layer in range(LAYERS)
    ]
    up = [
        Layer(
            *weights.layer("conv2d_transpose", number * LAYERS + layer),
            *weights.scale_and_shift(normalisation + LAYERS + layer),
        )
        for layer in range(LAYERS)
    ]
    return Weights(down, up, *weights.layer("conv2d", convolution + LAYERS), is_elu=is_elu)
