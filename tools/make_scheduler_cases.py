"""What diffusers' schedulers say of the noise, for the test of src/model/diffusers/scheduler.rs.

    python tools/make_scheduler_cases.py [OUT.json]      (default: kernels-tests/schedulers.json)

In: the schedulers of the installed diffusers (recorded in the file). Out: a list of cases, each a scheduler's config as
`save_pretrained` writes it (Python's Infinity included), the timesteps looked at, and there
  f32: its own buffer `alphas_cumprod` (float32, exactly as doubles);
  f64: the same formulas in float64, from the config's numbers;
  score: alpha and beta of score = alpha x + beta output in float64, found from the scheduler's own relations between x, x_0,
    eps and output and not from the project's formulas.
Every class, every beta_schedule that the class takes, every prediction, betas of one's own, zero terminal SNR, values that
belong to the sampling procedure, and classes whose config leaves keys out. No randomness.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch

ENDS = {"beta_start": 0.0002, "beta_end": 0.03}
SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"]
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
CLASSES = [
    "DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "DDIMInverseScheduler", "PNDMScheduler",
    "LMSDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverMultistepInverseScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler",
    "SASolverScheduler", "RePaintScheduler",
]
# Options of the sampling procedure: none of them may change the field.
SAMPLING = {
    "DDPMScheduler": {"clip_sample": False, "variance_type": "fixed_large", "timestep_spacing": "trailing", "steps_offset": 1},
    "DDIMScheduler": {"set_alpha_to_one": False, "thresholding": True, "sample_max_value": 2.0},
    "PNDMScheduler": {"skip_prk_steps": True, "steps_offset": 1},
    "EulerDiscreteScheduler": {"interpolation_type": "log_linear", "use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 9.0},
    "HeunDiscreteScheduler": {"use_exponential_sigmas": True},
    "LMSDiscreteScheduler": {"use_karras_sigmas": True},
    "DPMSolverMultistepScheduler": {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "use_lu_lambdas": True,
                                    "euler_at_final": True, "lambda_min_clipped": -5.1},
    "DPMSolverSinglestepScheduler": {"lower_order_final": True, "final_sigmas_type": "sigma_min", "algorithm_type": "dpmsolver"},
    "UniPCMultistepScheduler": {"predict_x0": False, "solver_type": "bh1", "disable_corrector": [0, 1]},
    "DEISMultistepScheduler": {"use_karras_sigmas": True},
}


def betas_f64(c: dict) -> np.ndarray:
    """The formulas of diffusers in float64."""
    t, name = c["num_train_timesteps"], c["beta_schedule"]
    if c.get("trained_betas") is not None:
        return np.array(c["trained_betas"], np.float64)
    lo, hi = c["beta_start"], c["beta_end"]
    if name == "linear":
        return np.linspace(lo, hi, t)
    if name == "scaled_linear":
        return np.linspace(lo**0.5, hi**0.5, t) ** 2
    if name == "sigmoid":
        return 1 / (1 + np.exp(-np.linspace(-6, 6, t))) * (hi - lo) + lo

    def laplace(u):
        log_ratio = -0.5 * math.copysign(1, 0.5 - u) * math.log(1 - 2 * math.fabs(0.5 - u) + 1e-6)
        return math.sqrt(math.exp(log_ratio) / (1 + math.exp(log_ratio)))

    bar = {"squaredcos_cap_v2": lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2,
           "exp": lambda u: math.exp(-12.0 * u), "laplace": laplace}[name]
    return np.array([min(1 - bar((i + 1) / t) / bar(i / t), 0.999) for i in range(t)])


def alphas_f64(c: dict, buffer: np.ndarray) -> np.ndarray:
    bar = np.cumprod(1 - betas_f64(c))
    if c.get("rescale_betas_zero_snr"):
        root = np.sqrt(bar)
        bar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        bar[-1] = buffer[-1]  # 0, or the power of two that the class puts there
    return bar


def coefficients(prediction: str, bar: float) -> list:
    """score = alpha x + beta output, solved from the relations of `step` in diffusers:
    x_0 = (x - sqrt(1 - bar) eps) / sqrt(bar); v: x_0 = sqrt(bar) x - sqrt(1 - bar) v, eps = sqrt(bar) v + sqrt(1 - bar) x;
    sample: eps = (x - sqrt(bar) x_0) / sqrt(1 - bar). The score of x given x_0 is -eps / sqrt(1 - bar)."""
    a, s = math.sqrt(bar), math.sqrt(1 - bar)
    eps = {"epsilon": lambda x, o: o, "v_prediction": lambda x, o: a * o + s * x, "sample": lambda x, o: (x - a * o) / s}
    score = lambda x, o: -eps[prediction](x, o) / s  # noqa: E731
    return [score(1.0, 0.0), score(0.0, 1.0)]


def case(name: str, given: dict, drop: tuple = ()) -> dict | None:
    try:
        made = getattr(diffusers, name)(**given)
    except (NotImplementedError, TypeError):
        return None  # the class does not have that schedule, or takes no list of betas (RePaint)
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        text = (Path(folder) / "scheduler_config.json").read_text()
    kept = {k: v for k, v in json.loads(text).items() if k not in drop}
    text = json.dumps(kept)
    bar = made.alphas_cumprod.double().numpy()
    t = len(bar)
    exact = alphas_f64({**dict(made.config), "num_train_timesteps": t}, bar)
    ks = sorted({0, 1, t // 10, t // 2, t - 2, t - 1})
    prediction = made.config.get("prediction_type", "epsilon")
    return {"config": text, "timesteps": t, "k": ks, "f32": [bar[k] for k in ks], "f64": [exact[k] for k in ks],
            "score": [coefficients(prediction, exact[k]) for k in ks]}


def cases():
    betas = [float(b) for b in np.linspace(0.01, 0.2, 12) ** 1.5]
    for name in CLASSES:
        for schedule in SCHEDULES:
            yield case(name, {"num_train_timesteps": 100, "beta_schedule": schedule, **ENDS})
        for prediction in PREDICTIONS:
            if name != "RePaintScheduler":
                yield case(name, {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "prediction_type": prediction})
        yield case(name, {"trained_betas": betas, "num_train_timesteps": len(betas)})
        yield case(name, {}, drop=("beta_start", "beta_end", "beta_schedule", "prediction_type", "num_train_timesteps",
                                   "trained_betas", "rescale_betas_zero_snr"))
        if name in SAMPLING:
            yield case(name, SAMPLING[name])
    for name in ("DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "DDIMInverseScheduler",
                 "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler",
                 "UniPCMultistepScheduler"):
        for prediction in PREDICTIONS:
            yield case(name, {"rescale_betas_zero_snr": True, "prediction_type": prediction, "beta_schedule": "scaled_linear"})
        yield case(name, {"rescale_betas_zero_snr": True, "trained_betas": betas, "num_train_timesteps": len(betas)})
    # Schedulers made from one another keep the keys of the first.
    first = diffusers.DPMSolverMultistepScheduler(beta_schedule="scaled_linear", use_karras_sigmas=True)
    for name in ("EulerDiscreteScheduler", "DDIMScheduler", "PNDMScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler"):
        second = getattr(diffusers, name).from_config(first.config)
        with tempfile.TemporaryDirectory() as folder:
            second.save_pretrained(folder)
            text = json.loads((Path(folder) / "scheduler_config.json").read_text())
        bar, t = second.alphas_cumprod.double().numpy(), 1000
        exact, ks = alphas_f64(dict(second.config), bar), [0, 500, 999]
        yield {"config": json.dumps(text), "timesteps": t, "k": ks, "f32": [bar[k] for k in ks],
               "f64": [exact[k] for k in ks], "score": [coefficients("epsilon", exact[k]) for k in ks]}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parent.parent / "kernels-tests/schedulers.json"
    p.add_argument("out", type=Path, nargs="?", default=default)
    args = p.parse_args()
    torch.set_num_threads(1)
    all_cases = [c for c in cases() if c is not None]
    unique = list({json.dumps(c): c for c in all_cases}.values())
    lines = ",\n".join(json.dumps(c) for c in unique)
    args.out.write_text(f'{{"diffusers": "{diffusers.__version__}", "cases": [\n{lines}\n]}}\n')
    print(f"{args.out}: {len(unique)} cases, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
