# Golden values of PeacoQC's two tests. Usage:
#   Rscript make_golden.R <source tree of PeacoQC> <folder with one CSV of events per run>
# The functions called take plain matrices, so flowCore is not needed; plyr is.
arguments <- commandArgs(trailingOnly = TRUE)
source(file.path(arguments[1], "R", "PeacoQC_helper_functions.R"))

for (path in list.files(arguments[2], pattern = "[.]csv$", full.names = TRUE)) {
  events <- as.matrix(read.csv(path, header = FALSE))
  size <- FindEventsPerBin(FALSE, events, seq_len(ncol(events)))
  breaks <- MakeBreaks(size, nrow(events))$breaks
  peaks <- list()
  for (channel in seq_len(ncol(events))) {
    frame <- DetermineAllPeaks(events[, channel], breaks, FALSE, 1 / 3, 10)
    peaks[[paste0("channel_", channel)]] <- ExtractPeakValues(frame, breaks)
  }
  peaks <- as.data.frame(do.call(cbind, unlist(peaks, recursive = FALSE)))
  rownames(peaks) <- seq_along(breaks)
  good <- rep(TRUE, nrow(peaks))
  names(good) <- seq_along(good)
  if (length(breaks) >= 150) good <- isolationTreeSD(peaks, gain_limit = 0.6)$outlier_bins
  reason <- ifelse(good, 0, 1)
  deviating <- MADOutlierMethod(peaks, good, 6, breaks, nrow(events))$MAD_bins
  reason[good] <- ifelse(deviating, 2, 0)
  good[good] <- !deviating
  result <- RemoveShortRegions(events, good, 5, breaks, list())
  flagged <- !result$GoodCells
  # What has become bad beyond the two tests: the runs of fewer than five good bins.
  runs <- rle(good)
  short <- rep(runs$values & runs$lengths < 5, runs$lengths)
  reason[short] <- 3
  smooth <- sapply(peaks, function(peak) {
    smooth.spline(seq_along(peak), peak, spar = 0.5)$y
  })
  colnames(smooth) <- paste0("smooth_", seq_len(ncol(smooth)))
  colnames(peaks) <- paste0("peak_", sub("channel_", "", colnames(peaks)))
  edges <- diff(c(FALSE, flagged, FALSE))
  name <- sub("[.]csv$", "", basename(path))
  write.table(cbind(reason = reason, signif(peaks, 8), signif(smooth, 8)),
    paste0(name, "_bins.tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
  write.table(cbind(start = which(edges == 1) - 1, stop = which(edges == -1) - 1),
    paste0(name, "_flagged.tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
  message(name, ": ", length(breaks), " bins, ", round(100 * mean(flagged), 2), " % flagged")
}
