using System;
using CivetWeb.Net.Benchmarks.Allocation;
using CivetWeb.Net.Benchmarks.Aot;
using CivetWeb.Net.Benchmarks.Load;
using CivetWeb.Net.Benchmarks.Micro;
using CivetWeb.Net.Benchmarks.Servers;

const string Usage = """
    Measures CivetWeb.Net beside Kestrel and CivetWeb itself. Linux; docs/performance.md tells how.

      load [--quick] [--only CASES] [--servers LIST] [--repeat N] [--warmup SECONDS] [--seconds SECONDS]
           [--text] [--output FOLDER]
                       servers under load, one after the other and repeatedly; CASES and LIST are names with commas
      micro [--quick] [--native | --managed] [--output FOLDER]
                       the parts: native ones by a program of their own, managed ones by BenchmarkDotNet
      alloc [--messages N]
                       managed bytes for each echoed message, counted
      aot [--repeat N]
                       EchoServer beside an echo of Kestrel's, both compiled natively: size, start, memory
      serve NAME [--connections N] [--certificate PEM] [--sleep MICROSECONDS] [--keep-threads]
                       one of the servers alone, until its standard input ends

    """;

// Not async: whoever is started by this thread may rely on it.
try
{
    return args switch
    {
        ["load", .. string[] rest] => LoadCommand.Run(LoadOptions.Parse(rest)),
        ["micro", .. string[] rest] => MicroCommand.Run(MicroOptions.Parse(rest)),
        ["alloc", .. string[] rest] => AllocationCommand.Run(AllocationOptions.Parse(rest)),
        ["aot", .. string[] rest] => AotCommand.Run(AotOptions.Parse(rest)),
        ["serve", string name, .. string[] rest] => ServeCommand.Run(name, ServeOptions.Parse(rest)),
        _ => Help(),
    };
}
catch (FormatException e)
{
    Console.Error.WriteLine($"benchmarks: {e.Message}");
    return 2;
}

static int Help()
{
    Console.Error.Write(Usage);
    return 2;
}
