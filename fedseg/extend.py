"""What code outside of the package builds on; docs/extending.md shows one of each.

A name in a configuration may be "module:object", where the module is installed, lies beside the
federation file, or in the working directory. Installed packages offer names of their own by entry
points, of the group `fedseg.fusion`, `fedseg.generator`, `fedseg.loss`, `fedseg.trainer`,
`fedseg.baseline`, `fedseg.tracker`, `fedseg.model` or `fedseg.dataset`.
"""

from fedseg.data.dataset import Dataset as Dataset
from fedseg.data.own_datasets import OwnDataset as OwnDataset
from fedseg.method.baselines import Baseline as Baseline
from fedseg.method.context import Context as Context
from fedseg.method.fusion.task import FusionRule as FusionRule
from fedseg.method.fusion.task import FusionTask as FusionTask
from fedseg.method.generation.candidates import BatchGenerator as BatchGenerator
from fedseg.method.generation.candidates import ConfiguredGenerator as ConfiguredGenerator
from fedseg.method.generation.candidates import Generator as Generator
from fedseg.method.generation.candidates import Made as Made
from fedseg.method.generation.regions import Regions as Regions
from fedseg.method.student import StudentLoss as StudentLoss
from fedseg.method.teachers import Teacher as Teacher
from fedseg.models import checkpoints as checkpoints
from fedseg.models.build import ModelBuilder as ModelBuilder
from fedseg.models.info import trust_model as trust_model
from fedseg.run.uploads import read_accepted as read_accepted
from fedseg.training.losses import Loss as Loss
from fedseg.training.supervised import TrainingTask as TrainingTask
from fedseg.training.tracking import Resumable as Resumable
from fedseg.training.tracking import Tracker as Tracker
