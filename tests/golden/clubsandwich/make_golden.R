# Writes samples.tsv, coefficients.tsv and wald.tsv beside itself:
#   Rscript tests/golden/clubsandwich/make_golden.R
suppressMessages(library(clubSandwich))

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
set.seed(20)
populations <- c("a", "b", "c")

grid <- function(n_patients, n_visits) {
  s <- expand.grid(visit = seq_len(n_visits) - 1, patient = seq_len(n_patients))
  n <- nrow(s)
  for (p in populations) {
    # Variances that differ by patient and visit, and errors that stay with the patient.
    s[[p]] <- rep(rnorm(n_patients, sd = 2), each = n_visits) + 0.3 * s$visit +
      rnorm(n, sd = 0.2 + 0.3 * s$visit) * rep(exp(rnorm(n_patients, sd = 0.5)), each = n_visits)
  }
  s$x1 <- NA_real_
  s$x2 <- NA_real_
  s
}
dose <- function(s) round(20 * exp(-0.5 * s$visit + rnorm(nrow(s))), 1)

balanced <- grid(10, 3)
balanced_covariate <- grid(12, 4)
balanced_covariate$x1 <- dose(balanced_covariate)
two_visits <- grid(7, 2)

# Missing visits, patients with one visit, and samples that one population lacks.
unbalanced <- grid(14, 4)
unbalanced <- unbalanced[-c(2, 7, 12, 13, 20, 21, 22, 24, 33, 38, 39, 40, 41, 55), ]
unbalanced$b[c(3, 9, 17)] <- NA
unbalanced$c[unbalanced$patient %in% c(3, 4)] <- NA
unbalanced_covariates <- grid(15, 4)[-c(1, 6, 11, 18, 23, 24, 28, 37, 42, 43, 44, 59), ]
unbalanced_covariates$x1 <- dose(unbalanced_covariates)
unbalanced_covariates$x2 <- 1e4 + 1e3 * rnorm(nrow(unbalanced_covariates))
unbalanced_covariates$a[c(5, 6, 30)] <- NA

# One patient alone takes the drug of x1, so that his cluster has no residual in that direction.
lone_patient <- grid(9, 3)
lone_patient$x1 <- as.numeric(lone_patient$patient == 4 & lone_patient$visit == 2)
lone_patient$x2 <- dose(lone_patient)

scenarios <- list(
  balanced = balanced, balanced_covariate = balanced_covariate, two_visits = two_visits,
  unbalanced = unbalanced, unbalanced_covariates = unbalanced_covariates,
  lone_patient = lone_patient
)

samples <- coefficients <- wald <- NULL
for (name in names(scenarios)) {
  s <- scenarios[[name]]
  samples <- rbind(samples, cbind(scenario = name, s))
  for (p in populations) {
    used <- s[!is.na(s[[p]]), ]
    terms <- c("factor(patient)", "factor(visit)")
    for (x in c("x1", "x2")) if (!all(is.na(used[[x]]))) terms <- c(terms, x)
    fit <- lm(reformulate(terms, response = p), data = used)
    vcov <- vcovCR(fit, cluster = used$patient, type = "CR2")
    test <- coef_test(fit, vcov = vcov, test = "Satterthwaite")
    ci <- conf_int(fit, vcov = vcov, level = 0.95, test = "Satterthwaite")
    keep <- grepl("visit|^x", rownames(test))
    coefficients <- rbind(coefficients, data.frame(
      scenario = name, population = p, term = sub("factor\\(visit\\)", "visit_", rownames(test)),
      estimate = test$beta, standard_error = test$SE, t = test$tstat, df = test$df_Satt,
      p = test$p_Satt, low = ci$CI_L, high = ci$CI_U
    )[keep, ])
    visits <- grep("visit", names(coef(fit)))
    w <- Wald_test(fit, constraints = constrain_zero(visits), vcov = vcov, test = "HTZ")
    wald <- rbind(wald, data.frame(
      scenario = name, population = p, f = w$Fstat, df_numerator = w$df_num,
      df_denominator = w$df_denom, p = w$p_val
    ))
  }
}

save_tsv <- function(table, name) {
  numeric <- sapply(table, is.double)
  table[numeric] <- lapply(table[numeric], function(x) ifelse(is.na(x), "", sprintf("%.15g", x)))
  write.table(table, file.path(here, name), sep = "\t", quote = FALSE, row.names = FALSE)
}
save_tsv(samples, "samples.tsv")
save_tsv(coefficients, "coefficients.tsv")
save_tsv(wald, "wald.tsv")
