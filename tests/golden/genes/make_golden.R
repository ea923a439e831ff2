# Gene changes of six patients before and after, by edgeR and limma: the numbers beside which
# tests/unit/statistics/test_gene_changes.py sets those of PyDESeq2.
#   Rscript make_golden.R        (Debian: r-bioc-edger, r-bioc-limma)
suppressMessages({library(edgeR); library(limma)})
set.seed(20)
genes <- 400; patients <- 6
mean_count <- exp(rnorm(genes, 4, 1.3))
patient_effect <- matrix(rnorm(genes * patients, 0, 0.3), genes)
log2_fold <- c(rep(c(1, -1), 20), rep(0, genes - 40))
depth <- exp(rnorm(2 * patients, 0, 0.3))
counts <- sapply(seq_len(2 * patients), function(s) {
  patient <- (s + 1) %/% 2; after <- (s + 1) %% 2
  mu <- mean_count * depth[s] * exp(patient_effect[, patient]) * 2^(log2_fold * after)
  rnbinom(genes, mu = mu, size = 12)
})
rownames(counts) <- sprintf("GENE%03d", seq_len(genes))
patient <- factor(rep(seq_len(patients), each = 2))
visit <- factor(rep(c("baseline", "followup"), patients))
design <- model.matrix(~ patient + visit)
dge <- calcNormFactors(DGEList(counts))
quasi <- glmQLFTest(glmQLFit(estimateDisp(dge, design), design), coef = ncol(design))$table
voomed <- eBayes(lmFit(voom(dge, design), design))
table <- data.frame(
  gene = rownames(counts), counts,
  true_log2_fold = log2_fold,
  edger_log2_fold = quasi$logFC, edger_p = quasi$PValue,
  limma_log2_fold = voomed$coefficients[, ncol(design)], limma_p = voomed$p.value[, ncol(design)]
)
names(table)[2:(1 + 2 * patients)] <- paste(rep(seq_len(patients), each = 2), visit, sep = "_")
write.table(format(table, digits = 10, trim = TRUE), "paired_genes.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
cat("edgeR", format(packageVersion("edgeR")), "limma", format(packageVersion("limma")), "\n")
