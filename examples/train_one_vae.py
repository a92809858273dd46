"""Train one β-TCVAE on a small part of dSprites and print its scores. It takes about ten seconds.

Neither Ray nor a spec is needed: `vae_core` trains, `metrics` scores.
"""

import metrics
import vae_core
from vae_core import MLP, BetaTCVAE, DSprites, EvaluationConfig, TrainConfig, TrialConfig

# Every second scale, every eighth orientation and every fourth position: 2,304 images of 32 pixels.
stride = {"scale": 2, "orientation": 8, "pos_x": 4, "pos_y": 4}
config = TrialConfig(
    data=DSprites(resolution=32, stride=stride),
    objective=BetaTCVAE(beta=4.0),
    network=MLP(hidden=(256, 256), latents=6),
    train=TrainConfig(epochs=5, batch_size=64, learning_rate=1e-3),
    evaluation=EvaluationConfig(images=1024, samples=256, final=("mig",)),
)
data = config.data.load()

# Grey pixels have an entropy; the images are also those that the model is trained on.
print(f"no reconstruction of these images is below {data.floor:.1f} nats")
print("epoch  reconstruction  TC     MIG")
for report in vae_core.train(config, data):
    numbers = report.metrics
    reconstruction, tc, mig = (numbers[key] for key in ("reconstruction", "tc", "mig"))
    print(f"{report.epoch:5}  {reconstruction:14.1f}  {tc:5.2f}  {mig:.3f}")

# The last report has the codes of all images, so any metric can score them.
for name in ("mig", "factor_vae", "dci"):
    score = metrics.score(name, report.final.codes, data.factors)
    print(f"{name}: {score.value:.3f} (chance {score.chance:.3f}, ceiling {score.ceiling:.3f})")
