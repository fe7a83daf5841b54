/** Into one page without names shortened: it is drawn once and thrown away. */
// biome-ignore lint/style/noDefaultExport: Vite takes it by this name.
export default {
  build: { target: "esnext", minify: false, chunkSizeWarningLimit: 100_000, reportCompressedSize: false },
  define: { "process.env.NODE_ENV": '"production"' },
  esbuild: { jsx: "automatic" },
  logLevel: "error",
};
