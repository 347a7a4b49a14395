"""The sigmoid and the softmax of the same logits: what changes when one logit moves.

The sigmoid answers a question a class: is it there? The softmax answers one question: which of them is it? So a logit that rises takes
probability from all others in the softmax, and leaves the other sigmoids alone. With two classes the softmax is the sigmoid of the
difference of their logits.
"""

import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import fastsig as fs

x, digit = load_digits(n_class=4, return_X_y=True)
model = LogisticRegression(max_iter=2000).fit(x / 16, digit)
logits = model.decision_function(x[:1] / 16)[0]
moved = logits.copy()
moved[2] += 4.0

print(f"a handwritten {digit[0]}; then the logit of the class 2 rises by 4\n")
print("class    logit   sigmoid  after    softmax  after")
before, after = (fs.sigmoid(logits), softmax(logits)), (fs.sigmoid(moved), softmax(moved))
for k in range(4):
    print(f"{k:5d} {logits[k]:8.3f}   {before[0][k]:.4f}   {after[0][k]:.4f}   {before[1][k]:.4f}   {after[1][k]:.4f}")
print(f"  sum            {before[0].sum():.4f}   {after[0].sum():.4f}   {before[1].sum():.4f}   {after[1].sum():.4f}")

others = np.arange(4) != 2
assert (before[0][others] == after[0][others]).all(), "the other sigmoids stay, to the bit"
assert (after[1][others] < before[1][others]).all(), "the softmax takes from every other class"
assert np.allclose(fs.sigmoid(logits[0] - logits[2]), softmax(logits[[0, 2]])[0], rtol=1e-14, atol=0), "two classes: one sigmoid"
