"""Results of Kumar, Liang and Ma (2019), which verified.py prints beside its own.

"run": their released code, run again on their CIFAR-10 predictions of a VGG16 network or on their
synthetic data. "text": stated in the paper. "read": read off its plots by eye.
"""

from __future__ import annotations

#: Bins of the figures on Platt scaling.
BINS_A = (2, 4, 8, 16, 32, 64, 128, 256, 512)
#: Root mean square error on ImageNet (read): 20,000 rows to scale, 5,000 for bins, 25,000 to test.
IMAGENET_A = (0.004, 0.015, 0.018, 0.018, 0.018, 0.020, 0.023, 0.030, 0.040)
IMAGENET_SPLIT = (20_000, 5_000, 25_000)
#: The same on CIFAR-10 (run, middle of the bootstrap; read), 1,000 + 1,000 + 8,000 rows.
CIFAR_A = (0.0129, 0.0141, 0.0183, 0.0313, 0.0322, 0.0331, 0.0334)
CIFAR_A_READ = (0.008, 0.009, 0.0175, 0.029, 0.030, 0.029, 0.031)

#: Bins and rows of the comparison with histogram binning on CIFAR-10 (run, 100 trials).
BINS_B = tuple(range(10, 101, 10))
ROWS_B = 1_000
POOL_B = 10_000
#: Squared errors, histogram binning and scaling-binning; then mean squared errors.
CLASSWISE = (
    (1.38e-4, 2.20e-4, 3.13e-4, 3.63e-4, 4.32e-4, 5.00e-4, 5.28e-4, 5.99e-4, 6.18e-4, 6.20e-4),
    (1.32e-4, 2.10e-4, 2.64e-4, 2.95e-4, 3.30e-4, 3.55e-4, 3.69e-4, 3.94e-4, 3.93e-4, 4.23e-4),
    (0.0700, 0.0630, 0.0578, 0.0551, 0.0538, 0.0528, 0.0525, 0.0528, 0.0527, 0.0527),
    (0.0700, 0.0629, 0.0574, 0.0546, 0.0529, 0.0515, 0.0508, 0.0504, 0.0501, 0.0500),
)
TOP_LABEL = (
    (0.40e-3, 0.76e-3, 1.05e-3, 1.16e-3, 1.59e-3, 1.48e-3, 1.63e-3, 1.79e-3, 2.56e-3, 2.02e-3),
    (0.61e-3, 0.99e-3, 1.02e-3, 1.05e-3, 1.17e-3, 1.16e-3, 1.14e-3, 1.28e-3, 1.28e-3, 1.32e-3),
    (0.0444, 0.0443, 0.0444, 0.0446, 0.0454, 0.0455, 0.0457, 0.0461, 0.0466, 0.0472),
    (0.0446, 0.0444, 0.0442, 0.0441, 0.0442, 0.0441, 0.0441, 0.0442, 0.0441, 0.0441),
)
#: Statistics of the predictions of that network (run); the generated ones should be similar.
VGG16 = {
    "accuracy": 0.9359,
    "mean confidence": 0.9756,
    "log-loss": 0.257,
    "ECE, 15 bins": 0.0398,
    "RMS error, debiased": 0.0777,
    "top-label MSE": 0.0498,
    "class-wise MSE": 0.0527,
}

#: Rows, and the MSE of the estimates of a squared error (run): (bins, estimator) -> values.
ROWS_C = (2_000, 3_000, 4_000, 5_000, 6_000, 7_000)
CALIBRATION_C = 3_000
POOL_C = 7_000
MSE_C = {
    (100, "plugin"): (5.34e-6, 2.46e-6, 1.37e-6, 9.0e-7, 6.7e-7, 5.2e-7),
    (100, "debiased"): (8.2e-7, 4.7e-7, 3.2e-7, 2.4e-7, 2.0e-7, 1.6e-7),
    (15, "plugin"): (4.3e-7, 2.1e-7, 1.8e-7, 1.25e-7, 1.14e-7, 8.6e-8),
    (15, "debiased"): (3.2e-7, 1.8e-7, 1.5e-7, 1.12e-7, 9.8e-8, 7.8e-8),
}
#: Squared errors of the model that is measured (run).
TRUTH_C = {100: 1.140e-3, 15: 6.49e-4}

#: P(Y=1|z) = expit(slope * logit(z) + intercept).
SLOPE_D, INTERCEPT_D = 2.0, 1.0
ROWS_D, BINS_D = 2_000, (5, 10, 20, 40, 80)
#: Squared errors at ROWS_D rows (run, 10,000 test points); scaling-binning is the same for all.
HISTOGRAM_D = (2.6e-4, 5.1e-4, 9.4e-4, 15.2e-4, 17.4e-4)
SCALING_BINNING_D = 1.33e-4
#: Ratios: (text, its standard error, run).
RATIO_ROWS_HISTOGRAM = (2.00, 0.06, 1.92)
RATIO_ROWS_SCALING_BINNING = (1.98, 0.09, 1.89)
RATIO_BINS_HISTOGRAM = (3.71, 0.15, 3.59)
RATIO_BINS_SCALING_BINNING = (0.98, 0.07, 0.995)
#: A run that kept bins of equal value apart.
RATIO_BINS_HISTOGRAM_APART = 3.89
#: The law that no Platt map fits: number of cells, their distance to the curve, range of scores.
CELLS_D, NOISE_D, RANGE_D = 100_000, 0.02, (0.25, 0.75)
ROWS_NOISY, BINS_NOISY = 3_000, 10
RATIO_NOISY = (5.2, 1.1, 4.1)
ERROR_NOISY = (5.16e-4, 1.26e-4)
