# Remakes the golden tables of limma's moderated paired t-test: Rscript make_golden.R
# Writes one table per case into the working directory; see README.md.
suppressPackageStartupMessages(library(limma))

MIN_PAIRS <- 3
legacy <- if ("legacy" %in% names(formals(eBayes))) list(legacy = TRUE) else list()

write_table <- function(table, name) {
  numbers <- vapply(table, is.double, TRUE)
  table[numbers] <- lapply(table[numbers], function(x) sprintf("%.15g", x))
  write.table(table, paste0(name, ".tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
}

# Changes of populations (rows) in patients (columns). The variance falls with the covariate, as
# it does with the number of events, and varies around that trend by a scaled inverse chi-square.
simulate_changes <- function(populations, patients, missing = 0, df_prior = 6,
                             covariate = runif(populations, 0, 9)) {
  spread <- if (is.finite(df_prior)) df_prior / rchisq(populations, df_prior) else 1
  sd <- sqrt((0.05 + 0.5 * exp(-covariate / 2)) * spread)
  effect <- rnorm(populations, 0, 0.3) * rbinom(populations, 1, 0.3)
  changes <- matrix(rnorm(populations * patients, effect, sd), populations)
  changes[runif(length(changes)) < missing] <- NA
  list(covariate = round(covariate, 4), changes = round(changes, 4))
}

# Populations with fewer than three pairs, or without variance, leave before limma sees them.
write_test <- function(name, data, trend = TRUE) {
  changes <- data$changes
  testable <- rowSums(!is.na(changes)) >= MIN_PAIRS &
    apply(changes, 1, function(d) isTRUE(var(d, na.rm = TRUE) > 0))
  kept <- changes[testable, , drop = FALSE]
  fit <- lmFit(kept, matrix(1, ncol(kept), 1))
  covariate <- if (trend) data$covariate[testable] else FALSE
  fit <- do.call(eBayes, c(list(fit, trend = covariate), legacy))
  outputs <- data.frame(
    estimate = fit$coefficients[, 1], t = fit$t[, 1], p = fit$p.value[, 1], s2 = fit$sigma^2,
    s2_post = fit$s2.post, df_total = fit$df.total, df_prior = fit$df.prior,
    s2_prior = fit$s2.prior
  )
  table <- data.frame(
    population = sprintf("population_%03d", seq_len(nrow(changes))),
    covariate = if (trend) data$covariate else NA_real_
  )
  table[paste0("change_", seq_len(ncol(changes)))] <- changes
  table[names(outputs)] <- NA_real_
  table[testable, names(outputs)] <- outputs
  write_table(table, paste0("test_", name))
}

# The prior alone, on variances that a paired test would not pass on.
write_prior <- function(name, variance, df, covariate = NULL) {
  variance <- signif(variance, 12)
  if (!is.null(covariate)) covariate <- round(covariate, 4)
  fit <- suppressWarnings(do.call(fitFDist, list(x = variance, df1 = df, covariate = covariate)))
  write_table(data.frame(
    variance = variance, df = as.double(df),
    covariate = if (is.null(covariate)) NA_real_ else covariate,
    s2_prior = fit$scale, df_prior = as.double(fit$df2)
  ), paste0("prior_", name))
}

set.seed(20240501)
for (n in c(2, 3, 5, 6, 29, 30, 100)) {
  write_test(sprintf("trend_%d", n), simulate_changes(n, 12))
}
for (n in c(2, 6, 30)) write_test(sprintf("plain_%d", n), simulate_changes(n, 10), trend = FALSE)
for (n in c(5, 6, 29, 30, 100)) {
  write_test(sprintf("missing_%d", n), simulate_changes(n, 9, missing = 0.25))
}
write_test("missing_plain_40", simulate_changes(40, 8, missing = 0.3), trend = FALSE)

sparse <- simulate_changes(36, 6, missing = 0.55)
sparse$changes[1, ] <- NA
sparse$changes[2, ] <- c(0.5, 0.5, 0.5, 0.5, NA, 0.5)
write_test("leaving_36", sparse)

# Equal variances around the trend: d0 = Inf, total df limited by the pooled df.
repeat {
  equal <- simulate_changes(40, 8, df_prior = Inf)
  equal_plain <- simulate_changes(12, 8, df_prior = Inf, covariate = rep(3, 12))
  prior <- function(data, z) fitFDist(apply(data$changes, 1, var), 7, z)$df2
  if (is.infinite(prior(equal, equal$covariate)) && is.infinite(prior(equal_plain, NULL))) break
}
write_test("infinite_40", equal)
write_test("infinite_plain_12", equal_plain, trend = FALSE)
repeat {
  tiny <- simulate_changes(3, 5, df_prior = Inf)
  if (is.infinite(prior(tiny, tiny$covariate))) break
}
write_test("infinite_3", tiny)

write_test("two_values_30", simulate_changes(30, 10, covariate = rep(c(1, 4), 15)))
write_test("one_value_30", simulate_changes(30, 10, covariate = rep(2, 30)))
write_test("knots_meet_40", simulate_changes(40, 10, covariate = c(1:8, rep(9, 24), 10:17)))
write_test("knot_at_end_40", simulate_changes(40, 10, covariate = c(rep(0, 16), 1:24 / 3)))

draws <- function(n, df, df_prior = 5) df_prior / rchisq(n, df_prior) * rchisq(n, df) / df
df <- sample(c(0, 1, 2, 5, 11), 45, replace = TRUE)
variance <- draws(45, pmax(df, 1))
variance[c(3, 20)] <- NA
variance[c(7, 31)] <- 0
covariate <- runif(45, 0, 8)
covariate[c(5, 40)] <- c(-Inf, Inf)
write_prior("unequal_df", variance, df)
write_prior("unequal_df_trend", variance, df, covariate)
unused <- c(1, 12)
df[unused] <- 0
covariate[unused] <- c(-3, 12)
write_prior("beyond_the_sites", variance, df, covariate)
write_prior("mostly_zero", c(rep(0, 8), draws(4, 6)), rep(6, 12), runif(12))
write_prior("only_one", c(NA, 0.3, NA), c(0, 4, 0), c(1, 2, 3))

# d0 of ten million: e varies by a hair more than trigamma(df / 2) explains.
hair <- sqrt(1.0001 * trigamma(1000) * 19 / 20)
write_prior("nearly_equal", 0.2 * exp(rep(c(-1, 1), 10) * hair), rep(2000, 20))
