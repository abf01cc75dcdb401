using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>Measures the parts one by one.</summary>
internal static class MicroCommand
{
    public static int Run(MicroOptions options)
    {
        if (options.Native)
        {
            NativeMicro.Run(options);
        }

        if (options.Managed)
        {
            // In this process: the native library lies beside this program, and nothing has to be built for each benchmark.
            Job job = (options.IsQuick ? Job.ShortRun : Job.Default.WithWarmupCount(5).WithIterationCount(10)).WithToolchain(InProcessEmitToolchain.Instance);
            IConfig config = ManualConfig.CreateEmpty()
                .AddJob(job)
                .AddDiagnoser(MemoryDiagnoser.Default)
                .AddColumnProvider(DefaultColumnProviders.Instance)
                .AddExporter(MarkdownExporter.GitHub)
                .AddLogger(ConsoleLogger.Default)
                .WithArtifactsPath(options.Output);
            BenchmarkRunner.Run([typeof(CallbackBenchmarks), typeof(EchoBenchmarks), typeof(SendBenchmarks)], config);
        }

        return 0;
    }
}
