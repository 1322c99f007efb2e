"""Settings that could favor calibkit: sizes, seed, repeats, tolerances and goals."""

#: Seed of the synthetic data; try another to check the results.
SEED = 20_240_229

#: Threads of BLAS, OpenMP, numba and torch. One, so that CPU time is comparable.
THREADS = 1

# -- how time is taken --------------------------------------------------------------------------

#: Runs per contender, by the CPU seconds of its first run: (below, runs). Contenders take turns.
REPEATS = ((0.1, 21), (1.0, 9), (10.0, 3))
#: A contender whose first run takes longer than all of these: that run counts, plus one more.
SLOW_REPEATS = 1
#: Short runs are repeated in a loop until one timing takes this many CPU seconds.
MIN_TIMING = 0.02
#: With --quick: data sets have this many times fewer rows (and classes, down to 10), and repeats
#: are cut to three.
QUICK_DIVISOR = 10
QUICK_REPEATS = 3
#: Fresh interpreters per package, median.
IMPORT_REPEATS = 5

# -- the data -----------------------------------------------------------------------------------

#: (rows, classes, dtype) of the temperature fits; true temperature 2.
TEMPERATURE_LARGE = (50_000, 1_000, "float32")
TEMPERATURE_SMALL = (10_000, 10, "float64")
TRUE_TEMPERATURE = 2.0
#: Rows of the binary fits.
FIT_ROWS = (10_000, 1_000_000)
ISOTONIC_ROWS = 1_000_000
AUTO_ROWS = (5_000, 1_000_000)
VENN_ABERS_ROWS = 100_000
METRIC_ROWS = (1_000_000, 10_000_000)
BOOTSTRAP_ROWS = 1_000_000
COMPARE_ROWS = 1_000_000
PREDICT_ROWS = 1_000_000
#: Standard deviation of the true log-odds; those of the scores are SLOPE * true log-odds + SHIFT.
TRUE_SPREAD = 1.5
SLOPE, SHIFT = 1.6, 0.4
N_BINS = 15
#: Rows fitted, and as many predicted, by binning calibrators; numbers of their bins.
BINNING_ROWS = 1_000_000
BINNING_BINS = (15, 100)
#: Rows of a stream, and of one that is passed row by row.
ONLINE_ROWS, ONE_ROW_ROWS = 1_000_000, 20_000
DEBIASED_ROWS = (100_000, 1_000_000)
INTERVAL_ROWS = 100_000

# -- the bootstrap ------------------------------------------------------------------------------

N_RESAMPLES = 1_000
#: Row resamples that are measured; their time is scaled up to N_RESAMPLES.
ROW_RESAMPLES = 20
#: Row resamples of the reference interval.
REFERENCE_RESAMPLES = 300
#: Rows given to peers that resample rows one by one.
BOOTSTRAP_PEER_ROWS = 100_000
#: Cells of the table that `estimate` draws on.
BOOTSTRAP_CELLS = 512
LEVEL = 0.9
#: uncertainty-calibration always makes this number of draws, and gets this number of rows; its time
#: is scaled up to all rows and to N_RESAMPLES.
UNCERTAINTY_RESAMPLES, UNCERTAINTY_ROWS = 100, 10_000
UNCERTAINTY_SCALE = (N_RESAMPLES / UNCERTAINTY_RESAMPLES) * (INTERVAL_ROWS / UNCERTAINTY_ROWS)

# -- what counts as right -----------------------------------------------------------------------

#: Excess NLL (nats per row) over the exact float64 optimum. The first limit that any peer reaches
#: decides which peers are right.
TEMPERATURE_TOLERANCES = (1e-10, 1e-8)
TEMPERATURE_OWN = 1e-10
#: Peers that stop early or smooth the targets as Platt did are right too: hence 1e-6.
LOGISTIC_TOLERANCES = (1e-6,)
LOGISTIC_OWN = 1e-12
#: Largest difference to scikit-learn's isotonic fit at this many training points.
ISOTONIC_POINTS = 20_000
AUTO_TOLERANCES = (2e-3,)
VENN_ABERS_POINTS = 10
ISOTONIC_TOLERANCES = (1e-9,)
ISOTONIC_OWN = 1e-12
#: Equal-mass borders may be placed in several ways, which moves a few rows: hence 1e-6.
ECE_TOLERANCES = (1e-6,)
ECE_OWN = 1e-12
#: Largest relative excess of the root mean square distance to the true probabilities over that of
#: the exact equal-mass binning.
BINNING_TOLERANCES = (0.01,)
BINNING_OWN = 1e-6
#: Difference of the log loss to that of the whole stream in one call; river makes other steps.
ONLINE_TOLERANCES = (0.05,)
ONLINE_OWN = 1e-12
#: Borders may differ by a row, and the l1 peers draw at random (standard error 4e-5 at 10^5 rows).
DEBIASED_TOLERANCES = {"l1": (2e-4,), "l2": (1e-4,)}
DEBIASED_OWN = 1e-12
#: As for the bootstrap below; one peer makes only 100 draws (standard error 0.1).
INTERVAL_TOLERANCES = (0.3,)
INTERVAL_OWN = 0.3
#: Relative difference in width to the interval from REFERENCE_RESAMPLES row resamples, whose own
#: standard error is about 0.05.
BOOTSTRAP_TOLERANCES = (0.2,)
BOOTSTRAP_OWN = 0.2
#: Largest distance of a value of `compare` from the metric.
COMPARE_OWN = 1e-9
#: Largest distance of a row's sum from one, and of 1000 rows from predictions for these alone.
PREDICT_OWN = 1e-12

# -- what calibkit must reach (ratios of one run) -----------------------------------------------

#: Rows of a block in the blocked floors (numbers, for matrices); a block fits the cache of a core.
BLOCK = 32_768
TEMPERATURE_LARGE_PEER, TEMPERATURE_LARGE_FLOOR = 20.0, 5.0
#: Extra memory as a share of the array of logits.
TEMPERATURE_LARGE_MEMORY = 0.1
TEMPERATURE_SMALL_PEER = 3.0
PLATT_PEER = (5.0, 4.0)
BETA_PEER = (4.0, 4.0)
ISOTONIC_PEER = 2.0
AUTO_FLOOR = (400.0, 40.0)
VENN_ABERS_PEER = 10.0
#: Per number of bins, as in BINNING_BINS.
HISTOGRAM_PEER = (3.5, 3.5)
SCALING_BINNING_PEER = (8.0, 8.0)
#: By norm, per number of rows as in DEBIASED_ROWS; None: no goal.
DEBIASED_PEER = {"l1": (None, 80.0), "l2": (None, 4.0)}
#: The floor is the loop itself, compiled if Numba is installed.
ONLINE_FLOOR, ONE_ROW_PEER = 1.5, 1.0
INTERVAL_PEER = 100.0
ECE_UNIFORM_FLOOR, ECE_UNIFORM_PEER = 2.0, 1.0
ECE_QUANTILE_FLOOR, ECE_QUANTILE_PEER = 2.0, 6.0
ECE_TOP_LABEL_FLOOR = 2.0
BOOTSTRAP_FLOOR, BOOTSTRAP_ROW_RATIO = 3.0, 50.0
COMPARE_FLOOR = 3.0
PREDICT_FLOOR = 5.0
PREDICT_AUTO_FLOOR = 25.0
