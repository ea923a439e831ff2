# Remakes inputs.tsv and expected.tsv in the working directory; see README.md.
suppressMessages({
  library(coin)
  library(exactRankTests)
})

set.seed(20240611)
distinct <- function(n, shift) rnorm(n, shift)
rounded <- function(n, shift, by) round(rnorm(n, shift) / by) * by  # by: a power of two
zero_some <- function(d, share) ifelse(c(TRUE, runif(length(d) - 1) < share), 0, d)

cases <- list()
for (n in c(3, 5, 6, 7, 10, 14, 20, 40, 100)) {
  cases[[sprintf("distinct_%03d", n)]] <- distinct(n, 0.4)
}
for (n in c(6, 9, 12, 20, 40, 100)) {
  cases[[sprintf("ties_%03d", n)]] <- {
    d <- rounded(n, 0.4, 0.5)
    ifelse(d == 0, 0.5, d)
  }
  cases[[sprintf("zeros_%03d", n)]] <- zero_some(distinct(n, 0.5), 0.3)
  cases[[sprintf("ties_zeros_%03d", n)]] <- zero_some(rounded(n, 0.5, 0.25), 0.2)
}
cases$all_positive_008 <- abs(distinct(8, 1))
cases$all_negative_020 <- -abs(distinct(20, 1))
cases$one_size_010 <- c(1, 1, 1, -1, 1, 1, 0, 1, -1, 1)
cases$mostly_zero_012 <- c(rep(0, 9), 0.5, 1, -0.25)
cases$balanced_006 <- c(-2, 2, -1, 1, 0, 0)
cases$distinct_200 <- distinct(200, 0.15)
cases$ties_zeros_200 <- zero_some(rounded(200, 0.15, 0.25), 0.1)

# What is written is what is tested: 12 digits.
cases <- lapply(cases, signif, digits = 12)

doubled_pratt_ranks <- function(d) {
  ranks <- 2 * rank(abs(d))
  ranks[d != 0] * sign(d[d != 0])
}

expected <- do.call(rbind, lapply(names(cases), function(name) {
  d <- cases[[name]]
  nothing <- rep(0, length(d))
  coin_test <- wilcoxsign_test(d ~ nothing, distribution = "exact", zero.method = "Pratt")
  ranks <- doubled_pratt_ranks(d)
  interval <- rep(NA_real_, 5)
  untied <- !any(d == 0) && !anyDuplicated(abs(d))
  if (untied && length(d) >= 6) {
    test <- wilcox.test(d, exact = TRUE, conf.int = TRUE, conf.level = 0.95)
    test90 <- wilcox.test(d, exact = TRUE, conf.int = TRUE, conf.level = 0.90)
    interval <- c(test$estimate, test$conf.int, test90$conf.int)
  }
  data.frame(
    case = name,
    n_pairs = length(d),
    p_coin = as.numeric(pvalue(coin_test)),
    p_exact_rank_tests = as.numeric(perm.test(ranks, paired = FALSE, exact = TRUE)$p.value),
    hodges_lehmann = interval[1],
    low_95 = interval[2],
    high_95 = interval[3],
    low_90 = interval[4],
    high_90 = interval[5]
  )
}))

inputs <- do.call(rbind, lapply(names(cases), function(name) {
  data.frame(case = name, difference = cases[[name]])
}))

# One number at a time, so that every value keeps its own 15 digits.
exactly <- function(x) vapply(x, function(v) if (is.na(v)) "NA" else format(v, digits = 15), "")
write_exact <- function(table, path) {
  numeric <- vapply(table, is.numeric, NA)
  table[numeric] <- lapply(table[numeric], exactly)
  write.table(table, path, sep = "\t", quote = FALSE, row.names = FALSE)
}
write_exact(inputs, "inputs.tsv")
write_exact(expected, "expected.tsv")
cat(
  R.version.string,
  "coin", as.character(packageVersion("coin")),
  "exactRankTests", as.character(packageVersion("exactRankTests")), "\n"
)
