"""Which classes, alternatives or thresholds scores tell apart, so that no optimum exists."""

from softunit.separation.diagnosis import Diagnosis, Separation, diagnose, examine
from softunit.separation.identification import Unidentified, unidentified

__all__ = ["Diagnosis", "Separation", "Unidentified", "diagnose", "examine", "unidentified"]
