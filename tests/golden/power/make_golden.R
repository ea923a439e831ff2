# Power of the two-sided paired t test by R: power.t.test, and pt with a noncentrality.
sets <- expand.grid(
  n = c(3, 6, 10, 24, 80), fold = c(1.1, 1.5, 3, 1 / 2), sd = c(0.2, 0.4, 0.9),
  alpha = c(0.05, 0.05 / 8)
)
delta <- abs(log(sets$fold))
plain <- mapply(
  function(n, delta, sd, alpha) {
    power.t.test(
      n = n, delta = delta, sd = sd, sig.level = alpha, type = "paired", strict = TRUE
    )$power
  },
  sets$n, delta, sets$sd, sets$alpha
)
table_of <- function(df, power) {
  data.frame(
    n_pairs = sets$n, df = df, fold = sets$fold, sd = sets$sd, alpha = sets$alpha, power = power
  )
}
# The moderated test: more degrees of freedom than pairs.
df <- (sets$n - 1) + pmin(4.5, sets$n - 1)
limit <- qt(sets$alpha / 2, df, lower.tail = FALSE)
centre <- sqrt(sets$n) * delta / sets$sd
moderated <- pt(limit, df, centre, lower.tail = FALSE) + pt(-limit, df, centre)

exactly <- function(x) vapply(x, function(v) format(v, digits = 15), "")
golden <- rbind(table_of(sets$n - 1, plain), table_of(df, moderated))
golden[] <- lapply(golden, exactly)
write.table(golden, "paired_power.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
cat(R.version.string, "\n")
