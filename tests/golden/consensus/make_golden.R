# Remakes the golden tables of ConsensusClusterPlus: Rscript make_golden.R
# Writes two tables per case, and the resamples of all, into the working directory; see README.md.
suppressPackageStartupMessages(library(ConsensusClusterPlus))

RESAMPLES <- 100
SHARE <- 0.9
SEED <- 7

# The resamples as ConsensusClusterPlus draws them after set.seed.
draw <- function(nodes) {
  set.seed(SEED)
  t(replicate(RESAMPLES, sort(sample(nodes, floor(nodes * SHARE), replace = FALSE))))
}

write_table <- function(table, name) {
  table[] <- lapply(as.data.frame(table), function(x) sprintf("%.15g", x))
  write.table(table, paste0(name, ".tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
}

write_case <- function(name, nodes, clusters) {
  values <- round(nodes, 4)
  grDevices::pdf(NULL)
  result <- suppressMessages(ConsensusClusterPlus(
    t(values), maxK = clusters, reps = RESAMPLES, pItem = SHARE, pFeature = 1,
    clusterAlg = "hc", distance = "euclidean", innerLinkage = "average",
    finalLinkage = "average", seed = SEED, title = tempfile(), plot = "png"
  ))[[clusters]]
  # Upper triangle, row by row.
  matrix <- result$consensusMatrix
  upper <- t(matrix)[lower.tri(matrix)]
  table <- as.data.frame(values)
  names(table) <- paste0("marker_", seq_len(ncol(values)))
  table$cluster <- as.integer(result$consensusClass)
  write_table(table, paste0("nodes_", name))
  write_table(data.frame(consensus = upper), paste0("consensus_", name))
}

# All cases have 60 nodes, and so the same resamples.
set.seed(1)
spread <- matrix(rnorm(8 * 5, 0, 2), 8)
grouped <- spread[sample(8, 60, replace = TRUE), ] + matrix(rnorm(60 * 5, 0, 0.5), 60)
smear <- matrix(runif(60 * 4), 60)
write_case("grouped_8", grouped, 8)
write_case("smear_5", smear, 5)
write_case("smear_15", smear, 15)
write_table(as.data.frame(draw(60)), "resamples")
