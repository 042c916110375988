"""near-mini's training.

train is the command and holds the table of stages; loop runs one that learns; stages are those; data is what they learn
from; publish_weights takes a run's best weights into near_core/weights.
"""
